"""Parts of `benchmarks.chaos`: processes that are killed, clients that do not give up, and the account at the end."""
