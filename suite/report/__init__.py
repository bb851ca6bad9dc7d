"""From rows and predictions to tables, figures and a page; needs neither torch nor audio."""
