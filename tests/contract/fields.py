"""The fields of each type's data, as programs outside were written against them: "?" may be absent.

Written out here so that a field that is lost, or required all of a sudden, is noticed; a new one may be optional only.
"""

FIELDS = {
    "campaign.open": (
        "campaign_id name currency quota budget_minor voucher starts_at ends_at voucher_ttl_s hold_ttl_s "
        "per_user_limit? vouchers_per_order_max? limits? categories? category_budgets_minor? release? "
        "when_empty? overspend?"
    ),
    "campaign.top_up": "campaign_id quota budget_minor approved_by reason",
    "campaign.pause": "campaign_id approved_by reason",
    "campaign.resume": "campaign_id approved_by reason",
    "campaign.close": "campaign_id approved_by reason",
    "voucher.claim": "campaign_id user_id city_tier? channel? device_id?",
    "voucher.admit": "campaign_id user_id claim_id",
    "voucher.expire": "campaign_id user_id voucher_id",
    "order.reserve": "order_id user_id voucher_id merchant_id category amount_minor more_voucher_ids? city_tier?",
    "order.cancel": "order_id user_id reason?",
    "order.expire": "order_id user_id reason?",
    "payment.settle": "payment_id order_id user_id paid_minor",
    "payment.refund": "refund_id payment_id order_id user_id amount_minor reason?",
    "campaign.opened": "campaign_id quota budget_minor command_id duplicate?",
    "campaign.topped_up": "campaign_id quota budget_minor approved_by reason command_id duplicate?",
    "campaign.paused": "campaign_id approved_by reason command_id duplicate?",
    "campaign.resumed": "campaign_id approved_by reason command_id duplicate?",
    "campaign.closed": "campaign_id approved_by reason command_id duplicate?",
    "campaign.rejected": "campaign_id reason command_id quota? budget_minor? approved_by? detail?",
    "voucher.granted": (
        "campaign_id user_id voucher_id face_value_minor expires_at command_id city_tier? channel? device_id? "
        "duplicate?"
    ),
    "voucher.queued": "campaign_id user_id queue_position command_id city_tier? channel? device_id? duplicate?",
    "voucher.expired": "campaign_id user_id voucher_id command_id duplicate?",
    "voucher.rejected": (
        "campaign_id user_id reason command_id voucher_id? city_tier? channel? device_id? next_release_at? detail?"
    ),
    "order.reserved": (
        "order_id user_id voucher_id campaign_id merchant_id category amount_minor discount_minor expires_at "
        "command_id more_voucher_ids? voucher_discounts_minor? city_tier? duplicate?"
    ),
    "order.cancelled": "order_id user_id voucher_id campaign_id command_id more_voucher_ids? reason? duplicate?",
    "order.expired": "order_id user_id voucher_id campaign_id command_id more_voucher_ids? reason? duplicate?",
    "order.rejected": (
        "order_id user_id reason command_id voucher_id? more_voucher_ids? refused_voucher_id? campaign_id? "
        "merchant_id? category? city_tier? amount_minor? detail?"
    ),
    "payment.settled": (
        "payment_id order_id user_id voucher_id campaign_id paid_minor discount_minor command_id "
        "more_voucher_ids? voucher_discounts_minor? duplicate?"
    ),
    "payment.refunded": (
        "refund_id payment_id order_id user_id voucher_id campaign_id amount_minor discount_returned_minor "
        "voucher_restored command_id more_voucher_ids? reason? duplicate?"
    ),
    "payment.rejected": (
        "payment_id order_id user_id reason command_id refund_id? voucher_id? campaign_id? paid_minor? "
        "amount_minor? detail?"
    ),
}
