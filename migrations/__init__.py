"""The history of the two schemas: `shared` (one) and `region` (one a region). Revisions never import live code."""
