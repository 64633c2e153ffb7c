"""When other servers dispatch: each rewritten from a description of its source, see docs/policy.md."""
