"""Operations on a fleet of their own."""
