"""A stage at work: rounds and their worklists, orders, the buyer, the reader, and the threads between them."""
