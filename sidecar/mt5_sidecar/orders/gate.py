# SPDX-License-Identifier: Apache-2.0
"""May this desk trade at all? Only the slot that was activated last, and only after looking."""

from dataclasses import dataclass

from mt5_sidecar.orders.errors import Fenced, NotTrading, Reconciling, Settling, Stopping


@dataclass(slots=True)
class Gate:
    """What must hold before anything is sent.

    `epoch` 0: never activated. `reconciled`: what was open at boot has been looked for.
    `earlier_known`: what an earlier journal of this account may have left is known.
    """

    epoch: int = 0
    fenced: bool = False
    reconciled: bool = False
    earlier_known: bool = False
    stopping: bool = False

    def check(self) -> None:
        """Let pass.

        Raises:
            Stopping, Fenced, Reconciling, Settling: Not this desk, or not now.
        """
        if self.stopping:
            raise Stopping("the sidecar is going away", retry_after_s=5)
        self.check_active()
        if not self.reconciled:
            raise Reconciling("looking for what was open when the sidecar ended", retry_after_s=2)
        if not self.earlier_known:
            raise Settling(
                "first the terminal must show what the journal may not know", retry_after_s=5
            )

    def check_active(self) -> None:
        """Let pass where this slot is the one that trades.

        Raises:
            Fenced: It is not.
        """
        if not self.active:
            raise Fenced("this slot is not the one that trades", epoch=self.epoch, retry_after_s=5)

    @property
    def active(self) -> bool:
        """Tell whether this slot is the one that trades."""
        return self.epoch > 0 and not self.fenced

    @property
    def open(self) -> bool:
        """Tell whether `check` lets pass."""
        try:
            self.check()
        except NotTrading:
            return False
        return True

    def admit(self, epoch: int) -> bool:
        """Take over with `epoch`; tell whether that is something new to remember.

        Raises:
            Fenced: A later slot has taken over, or this one was fenced in that epoch.
        """
        if epoch < max(1, self.epoch) or (self.fenced and epoch == self.epoch):
            raise Fenced(f"epoch {epoch} is over", epoch=self.epoch)
        new = self.fenced or epoch != self.epoch
        self.epoch, self.fenced = epoch, False
        return new
