"""What practitioners use, held against the report's own methods: the only code that needs the extra ``peers``."""
