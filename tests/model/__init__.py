"""Models of the failover engine's protocols, checked exhaustively by Spin."""
