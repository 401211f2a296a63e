"""Tells components what they do not know yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .finding import Finding, raise_findings, refusal

__all__ = ["HandOver"]


class HandOver:
    """Calls one method of all components that have it, once for each news.

    Args:
        protocol: Runtime-checkable protocol of those who listen.
        method: Its method, which takes the news.

    Example:
        >>> from imb_det.core import StageListener
        >>> HandOver(StageListener, "set_stage")(["no listener"], "news")
        []
    """

    def __init__(self, protocol: type, method: str) -> None:
        self.protocol = protocol
        self.method = method
        # By identity; the component is kept too, as its number might be used again.
        self._told: dict[int, tuple[Any, Any]] = {}

    def listeners(self, components: Iterable[Any]) -> list[Any]:
        """Return those who listen, each once."""
        found = {id(c): c for c in components if isinstance(c, self.protocol)}
        return list(found.values())

    def __call__(
        self,
        components: Iterable[Any],
        news: Any,
        places: Mapping[int, str] | None = None,
        own: Mapping[int, Callable[[], Any]] | None = None,
    ) -> list[Any]:
        """Tell those who do not know it.

        Args:
            components: Listeners and others, in any order, also more than once.
            news: What is handed over; equal news are no news.
            places: Where components are, by ``id``, for messages. Default: None, they
                are told apart by their class alone.
            own: What makes the news of some components in place of ``news``, by
                ``id``; None for no news. Default: None, all are told the same.

        Returns:
            Those who have been told.

        Raises:
            FindingsError: Some cannot do with it; the others have been told.
        """
        told = []
        refused: dict[Finding, None] = {}
        for component in self.listeners(components):
            known = self._told.get(id(component))
            try:
                made = (own or {}).get(id(component))
                told_now = news if made is None else made()
                if told_now is None or (known is not None and known[1] == told_now):
                    continue
                getattr(component, self.method)(told_now)
            except Exception as error:  # the others are to be told all the same
                what = "a component cannot do with what it is told"
                kind = type(component).__name__
                path = (places or {}).get(id(component))
                place = kind if path is None else f"{path} ({kind})"
                refused[refusal(f"{self.method}_refused", what, error, place)] = None
                continue
            self._told[id(component)] = (component, told_now)
            told.append(component)
        raise_findings(refused, f"`{self.method}`")
        return told
