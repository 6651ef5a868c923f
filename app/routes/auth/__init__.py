"""Who is asking: tokens, their files, sessions and sign-outs."""
