"""Statistics of a batch: the ten aggregations that compare, count and describe the rows they are given."""
