"""Every document of the database; a new one is added here."""

from beanie import Document

from models.api_key import ApiKeyDocument
from models.asset import AssetDocument
from models.audit_event import AuditEventDocument, AuditHeadDocument
from models.broadcast import BroadcastDocument
from models.candle import CandleDocument
from models.chain_transaction import ChainTransactionDocument
from models.challenge import ChallengeDocument
from models.client_key import ClientKeyDocument
from models.debtor import DebtorDocument
from models.deposit import ChainCursorDocument, DepositDocument
from models.deposit_address import DepositAddressDocument, DepositCountDocument
from models.deposit_memo import DepositMemoDocument
from models.fill import FillDocument
from models.hot_wallet import HotWalletDocument
from models.house_transfer import HouseTransferDocument
from models.identity import IdentityDocument
from models.journal import JournalDocument
from models.known_device import KnownDeviceDocument
from models.lease import LeaseDocument
from models.liability_report import (
    LiabilityChunkDocument,
    LiabilityHeadDocument,
    LiabilityReportDocument,
    LiabilityTreeDocument,
)
from models.log_in_lock import LogInLockDocument
from models.mail import MailDocument
from models.market import MarketDocument
from models.market_state import MarketStateDocument, SequenceDocument
from models.market_status import MarketStatusDocument
from models.one_time_token import OneTimeTokenDocument
from models.order import OrderDocument
from models.order_group import OrderGroupDocument
from models.packs import AccountLogDocument, StatementDocument
from models.passkey import PasskeyDocument
from models.prepared_transaction import PreparedTransactionDocument
from models.projection import ProjectionDocument, SnapshotChunkDocument, SnapshotDocument
from models.session import SessionDocument
from models.signing_key import SigningKeyDocument
from models.swap import SwapDocument
from models.swap_quote import SwapQuoteDocument
from models.trade import TradeDocument
from models.trading_account import TradingAccountDocument
from models.transfer_event import TransferEventDocument, TransferHeadDocument
from models.treasury_export import TreasuryExportDocument
from models.unclaimed_deposit import UnclaimedDepositDocument
from models.user import UserDocument
from models.wallet import WalletDocument
from models.wallet_challenge import WalletChallengeDocument
from models.withdrawal import WithdrawalCountDocument, WithdrawalDocument
from models.withdrawal_address import WithdrawalAddressDocument

DOCUMENTS: tuple[type[Document], ...] = (
    AccountLogDocument,
    ApiKeyDocument,
    AssetDocument,
    AuditEventDocument,
    AuditHeadDocument,
    BroadcastDocument,
    ChainTransactionDocument,
    CandleDocument,
    ChainCursorDocument,
    ChallengeDocument,
    ClientKeyDocument,
    DebtorDocument,
    DepositAddressDocument,
    DepositCountDocument,
    DepositDocument,
    DepositMemoDocument,
    FillDocument,
    HotWalletDocument,
    HouseTransferDocument,
    IdentityDocument,
    JournalDocument,
    KnownDeviceDocument,
    LeaseDocument,
    LiabilityChunkDocument,
    LiabilityHeadDocument,
    LiabilityReportDocument,
    LiabilityTreeDocument,
    LogInLockDocument,
    MailDocument,
    MarketDocument,
    MarketStateDocument,
    MarketStatusDocument,
    OneTimeTokenDocument,
    OrderDocument,
    OrderGroupDocument,
    PasskeyDocument,
    PreparedTransactionDocument,
    ProjectionDocument,
    SequenceDocument,
    SessionDocument,
    SigningKeyDocument,
    SnapshotChunkDocument,
    SnapshotDocument,
    StatementDocument,
    SwapDocument,
    SwapQuoteDocument,
    TradeDocument,
    TradingAccountDocument,
    TransferEventDocument,
    TransferHeadDocument,
    UnclaimedDepositDocument,
    TreasuryExportDocument,
    UserDocument,
    WithdrawalAddressDocument,
    WithdrawalCountDocument,
    WithdrawalDocument,
    WalletChallengeDocument,
    WalletDocument,
)
