"""Operations at clouds that are stood in for, on loopback."""
