"""What a regional currency is, one folder a capability. Rules are pure; commands write; queries read."""
