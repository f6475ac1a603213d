"""What reads, changes and writes rows: the plugin contract, the registry, and the plugins that come with Elspeth."""
