"""What steps that ask services share: templates, reading of answers. Packages of the extra `calls` come in here."""
