"""Keys of known services, by their form. Pure."""

from __future__ import annotations

import re

from modelscan.traces.redaction.detector import START, Detector, detector, has_digit


def service(kind: str, form: str, *marks: str) -> Detector:
    """A detector of keys that have this form wherever they begin."""
    return detector(kind, rf"{START}(?:{form})", *marks)


SERVICES: tuple[Detector, ...] = (
    service("anthropic_key", r"sk-ant-[A-Za-z0-9_-]{12,}", "sk-ant-"),
    service("openrouter_key", r"sk-or-[A-Za-z0-9_-]{12,}", "sk-or-"),
    service("openai_key", r"sk-(?:proj|svcacct|admin|None|live|test)-[A-Za-z0-9_-]{12,}", "sk-"),
    service("langfuse_key", r"[sp]k-lf-[A-Za-z0-9-]{12,}", "k-lf-"),
    detector(
        "openai_key", START + r"sk[-_][A-Za-z0-9_-]{16,}", "sk-", "sk_",
        check=lambda value, _: re.search(r"(?=[A-Za-z]*\d)[A-Za-z0-9]{10}", value) is not None,
    ),
    service("huggingface_token", r"(?:hf|api_org)_[A-Za-z0-9]{16,}", "hf_", "api_org_"),
    service("nvidia_key", r"nvapi-[A-Za-z0-9_-]{16,}", "nvapi-"),
    service("groq_key", r"gsk_[A-Za-z0-9]{16,}", "gsk_"),
    detector("fireworks_key", START + r"fw_[A-Za-z0-9]{16,}", "fw_", check=has_digit),
    service("xai_key", r"xai-[A-Za-z0-9]{20,}", "xai-"),
    service("perplexity_key", r"pplx-[A-Za-z0-9]{20,}", "pplx-"),
    service("replicate_token", r"r8_[A-Za-z0-9]{20,}", "r8_"),
    service("together_key", r"tgp_v1_[A-Za-z0-9_-]{16,}", "tgp_v1_"),
    service("cerebras_key", r"csk-[a-z0-9]{20,}", "csk-"),
    service("gpustack_key", r"gpustack_[A-Za-z0-9_]{12,}", "gpustack_"),
    service("github_token", r"gh[pousr]_[A-Za-z0-9]{16,}", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    service("github_token", r"github_pat_[A-Za-z0-9_]{16,}", "github_pat_"),
    service("gitlab_token", r"gl[a-z]{2,5}-[A-Za-z0-9_.-]{16,}", "gl"),
    service("slack_token", r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}", "xox"),
    service("slack_token", r"xapp-\d-[A-Za-z0-9-]{10,}", "xapp-"),
    detector("slack_webhook", r"hooks\.slack\.com/(?P<v>[A-Za-z0-9/_-]{20,})", "hooks.slack.com"),
    detector(
        "discord_webhook", r"discord(?:app)?\.com/api/webhooks/(?P<v>\d+/[\w-]{20,})", "webhooks"
    ),
    service("aws_key_id", r"(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}(?![A-Za-z0-9])",
             "akia", "asia", "abia", "acca", "aroa", "aida"),
    service("google_key", r"AIza[0-9A-Za-z_-]{30,}", "aiza"),
    service("google_token", r"ya29\.[\w-]{20,}", "ya29."),
    service("google_secret", r"GOCSPX-[\w-]{20,}", "gocspx-"),
    service("google_token", r"1//0[\w-]{30,}", "1//0"),
    service("stripe_key", r"[srp]k_(?:live|test)_[A-Za-z0-9]{10,}", "k_live_", "k_test_"),
    service("webhook_secret", r"whsec_[A-Za-z0-9+/=]{16,}", "whsec_"),
    service("sendgrid_key", r"SG\.[\w-]{16,}\.[\w-]{16,}", "sg."),
    service("twilio_key", r"(?:SK|AC)[0-9a-f]{32}(?![A-Za-z0-9])", "sk", "ac"),
    service("npm_token", r"npm_[A-Za-z0-9]{20,}", "npm_"),
    service("pypi_token", r"pypi-[A-Za-z0-9_-]{20,}", "pypi-"),
    service("docker_token", r"dckr_(?:pat|oat)_[\w-]{16,}", "dckr_"),
    service("telegram_token", r"\d{8,10}:AA[A-Za-z0-9_-]{30,}", ":aa"),
    service("discord_token", r"[MNO][A-Za-z0-9_-]{22,27}\.[\w-]{6}\.[\w-]{27,}", "."),
    service("databricks_token", r"dapi[a-f0-9]{32}", "dapi"),
    service("vault_token", r"hv[sbr]\.[\w-]{20,}", "hvs.", "hvb.", "hvr."),
    service("shopify_token", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}", "shp"),
    service("digitalocean_token", r"do[opr]_v1_[a-f0-9]{40,}", "_v1_"),
    service("grafana_token", r"gl(?:c|sa)_[A-Za-z0-9+/=_]{20,}", "glc_", "glsa_"),
    service("notion_token", r"(?:ntn_|secret_)[A-Za-z0-9]{30,}", "ntn_", "secret_"),
    service("linear_key", r"lin_(?:api|oauth)_[A-Za-z0-9]{20,}", "lin_"),
    service("postman_key", r"PMAK-[a-f0-9-]{30,}", "pmak-"),
    service("sentry_token", r"sntry[su]_[A-Za-z0-9+/=_]{20,}", "sntry"),
    service("newrelic_key", r"NR(?:AK|II|IQ)-[A-Za-z0-9_-]{20,}", "nrak-", "nrii-", "nriq-"),
    service("supabase_key", r"sb[p]_[a-f0-9]{30,}", "sbp_"),
    service("heroku_key", r"HRKU-[A-Za-z0-9_-]{20,}", "hrku-"),
    service("figma_token", r"fig[duo]_?[A-Za-z0-9_-]{30,}", "fig"),
    service("airtable_token", r"pat[A-Za-z0-9]{14}\.[a-f0-9]{40,}", "pat"),
    service("mailgun_key", r"key-[0-9a-f]{32}(?![0-9a-f])", "key-"),
    service("mailchimp_key", r"[0-9a-f]{32}-us\d{1,2}(?!\d)", "-us"),
    service("age_key", r"AGE-SECRET-KEY-1[A-Z0-9]{40,}", "age-secret-key"),
    service("jwt", r"eyJ[\w-]{6,}(?:\.[\w-]{6,}){2,4}", "eyj"),
)  # fmt: skip
