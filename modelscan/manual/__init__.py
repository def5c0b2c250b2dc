"""THE MANUAL: the pages of ``docs/`` as lists, HTML, search results and a site of files."""
