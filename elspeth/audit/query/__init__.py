"""What commands ask of the audit database: read only, disturbing nobody who writes."""
