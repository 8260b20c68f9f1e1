"""The computer: files, cache, threads, devices, other processes, Ray."""
