"""Bad input and faults, at scale: inputs, mutations, commands in a sandbox, kills."""
