"""A matcher so plain that it can be seen to be right: lists, sorted and walked again for every order. No money, no speed."""

from dataclasses import dataclass

from core.vocabulary import OrderSide


@dataclass(slots=True)
class Resting:
    """An order in the book; `shown` of its `left` lots can be seen, at most `display` at a time."""

    name: str
    owner: str
    side: OrderSide
    price: int
    left: int
    display: int
    shown: int
    place: int


class ObviousBook:
    """One market. `trades` are (maker, taker, price, lots)."""

    def __init__(self) -> None:
        self.resting: list[Resting] = []
        self.trades: list[tuple[str, str, int, int]] = []
        self._places = 0

    def limit(
        self,
        name: str,
        owner: str,
        side: OrderSide,
        price: int,
        lots: int,
        *,
        rests: bool,
        display: int,
        prevention: str,
    ) -> None:
        """Trade what crosses, then rest."""
        left = lots
        while left:
            facing = sorted(
                (order for order in self.resting if order.side is not side),
                key=lambda order: (order.price if side is OrderSide.BUY else -order.price, order.place),
            )
            if not facing or (facing[0].price > price if side is OrderSide.BUY else facing[0].price < price):
                break
            maker = facing[0]
            if maker.owner == owner:
                if prevention != "CANCEL_NEWEST":
                    self.resting.remove(maker)
                if prevention == "CANCEL_OLDEST":
                    continue
                return
            traded = min(left, maker.shown)
            self.trades.append((maker.name, name, maker.price, traded))
            left -= traded
            maker.left -= traded
            maker.shown -= traded
            if not maker.left:
                self.resting.remove(maker)
            elif not maker.shown:
                maker.shown = min(maker.display, maker.left)
                maker.place = self._next_place()
        if left and rests:
            self.resting.append(
                Resting(name, owner, side, price, left, display, min(display or left, left), self._next_place())
            )

    def cancel(self, name: str, owner: str) -> None:
        """Take it out, if it is there and the owner's."""
        self.resting = [order for order in self.resting if (order.name, order.owner) != (name, owner)]

    def _next_place(self) -> int:
        self._places += 1
        return self._places
