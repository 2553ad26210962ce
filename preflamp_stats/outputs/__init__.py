"""What an analysis looks like on disk and on screen: tables, figures, report, summary."""
