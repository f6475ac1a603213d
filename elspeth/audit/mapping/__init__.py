"""Between the small records that are stored and the tables that people read: nobody else knows codes."""
