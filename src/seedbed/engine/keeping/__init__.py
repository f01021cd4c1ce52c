"""What is kept for years: receipts carried, compacted, archived; texts taken out; files mended."""
