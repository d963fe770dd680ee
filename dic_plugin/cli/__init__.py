"""The installed commands, one module each: arguments, messages, exit statuses."""
