"""A commit on its way into the database: records prepared, inserted and chained, by the attempt that owns the run."""
