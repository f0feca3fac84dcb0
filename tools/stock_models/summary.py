def write_summary(table, page): raise NotImplementedError
