"""What this machine and its pods use: counters read, rates over windows, endpoints scraped, all of it exported."""
