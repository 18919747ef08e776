"""Signatures over model packages in the OpenSSF model signing format, with a key of one's own."""
