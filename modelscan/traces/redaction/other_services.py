"""Keys of further services, addresses that are keys, hashes of passwords: by their form. Pure."""

from __future__ import annotations

from modelscan.traces.redaction.detector import START, Detector, detector, has_digit
from modelscan.traces.redaction.services import service

OTHER_SERVICES: tuple[Detector, ...] = (
    service(
        "atlassian_token", r"(?:ATATT3|ATCTT3|ATBB)[A-Za-z0-9_=-]{20,}", "atatt3", "atctt3", "atbb"
    ),
    service("azure_secret", r"[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{30,}", "q~"),
    detector(
        "dify_key",
        START + r"(?:app|dataset)-(?=[a-z0-9]*[A-Z])[A-Za-z0-9]{24}(?![A-Za-z0-9])",
        "app-",
        "dataset-",
        check=has_digit,
    ),
    service("pinecone_key", r"pcsk_[A-Za-z0-9_]{20,}", "pcsk_"),
    service("langsmith_key", r"lsv2_[a-z]{2}_[0-9a-f]{32}_[0-9a-f]{10}", "lsv2_"),
    service("wandb_key", r"wandb_v\d_[A-Za-z0-9_-]{20,}", "wandb_v"),
    service(
        "search_key",
        r"tvly-(?:dev-|prod-)?[A-Za-z0-9_-]{16,}|fc-[0-9a-f]{32}|jina_[A-Za-z0-9_-]{24,}",
        "tvly-",
        "fc-",
        "jina_",
    ),
    detector("search_key", START + r"BSA[A-Za-z0-9_-]{24,}", "bsa", check=has_digit),
    detector("voyage_key", START + r"(?:pa|al)-[A-Za-z0-9_-]{40,}", "pa-", "al-", check=has_digit),
    service("vercel_token", r"vc[pkiarb]_[A-Za-z0-9]{20,}", "vc"),
    service("netlify_token", r"nf[pcoub]_[A-Za-z0-9]{20,}", "nf"),
    service("fly_token", r"fm[12][ar]?_[A-Za-z0-9+/=_]{20,}", "fm1", "fm2"),
    detector("render_key", START + r"rnd_[A-Za-z0-9]{20,}", "rnd_", check=has_digit),
    service("doppler_token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{20,}", "dp."),
    service(
        "onepassword_token",
        r"(?:ops_eyJ[A-Za-z0-9_=-]{20,}|A3-[A-Z0-9]{6}-(?:[A-Z0-9]{5,11}-?){3,6})",
        "ops_eyj",
        "a3-",
    ),
    service(
        "ci_token",
        r"(?:bkua|bkct|bkaj)_[A-Za-z0-9]{20,}|CCIPAT_[A-Za-z0-9_]{20,}",
        "bkua_",
        "bkct_",
        "bkaj_",
        "ccipat_",
    ),
    service(
        "package_token",
        r"rubygems_[0-9a-f]{40,}|CLOJARS_[0-9a-z]{50,}|cio[A-Za-z0-9]{32}(?![A-Za-z0-9])"
        r"|oy2[a-z0-9]{43}(?![A-Za-z0-9])|AKCp[A-Za-z0-9]{30,}|cmVmd[A-Za-z0-9]{40,}",
        "rubygems_",
        "clojars_",
        "cio",
        "oy2",
        "akcp",
        "cmvmd",
    ),
    service("terraform_token", r"[A-Za-z0-9]{10,}\.atlasv1\.[A-Za-z0-9_=-]{20,}", ".atlasv1."),
    service("pulumi_token", r"pul-[0-9a-f]{32,}", "pul-"),
    service("dynatrace_token", r"dt0[a-z]\d{2}\.[A-Z0-9]{8,}\.[A-Z0-9]{30,}", "dt0"),
    service(
        "square_token", r"sq0[a-z]{3}-[A-Za-z0-9_-]{20,}|EAAA[A-Za-z0-9_-]{40,}", "sq0", "eaaa"
    ),
    service(
        "paypal_token",
        r"access_token\$(?:production|sandbox)\$[0-9a-z]{10,}\$[0-9a-f]{32}",
        "access_token$",
    ),
    service("facebook_token", r"EAA[A-Z][A-Za-z0-9]{30,}", "eaa"),
    service("twitter_token", r"A{20,}[A-Za-z0-9%]{30,}", "a" * 20),
    service("contentful_token", r"CFPAT-[\w-]{30,}", "cfpat-"),
    service("readme_key", r"rdme_[a-z0-9]{40,}", "rdme_"),
    service(
        "mail_key",
        r"xkeysib-[0-9a-f]{40,}-\w{10,}|mlsn\.[0-9a-f]{40,}|re_[A-Za-z0-9]{8}_[A-Za-z0-9]{20,}"
        r"|[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}(?![\w-])",
        "xkeysib-",
        "mlsn.",
        "re_",
        "-",
    ),
    service(
        "database_token",
        r"pscale_(?:tkn|pw|oauth)_[\w.=-]{20,}|napi_[a-z0-9]{20,}|sb_secret_[\w-]{16,}"
        r"|sb_publishable_[\w-]{16,}",
        "pscale_",
        "napi_",
        "sb_",
    ),
    detector("database_token", START + r"npg_[A-Za-z0-9]{10,}", "npg_", check=has_digit),
    service("tailscale_key", r"tskey-[a-z]+-[A-Za-z0-9-]{16,}", "tskey-"),
    service("fireworks_key", r"fpk_[A-Za-z0-9]{16,}", "fpk_"),
    service("runpod_key", r"rpa_[A-Z0-9]{30,}\w*", "rpa_"),
    service("helicone_key", r"[sp]k-helicone-[A-Za-z0-9-]{20,}", "k-helicone-"),
    service(
        "cloud_key_id",
        r"(?:LTAI|AKID|AKLT|ALTAK-)[A-Za-z0-9]{16,}|SCW[A-Z0-9]{17}(?![A-Za-z0-9])",
        "ltai",
        "akid",
        "aklt",
        "altak-",
        "scw",
    ),
    service("baidu_key", r"bce-v3/[A-Za-z0-9-]{10,}/[0-9a-f]{32,}", "bce-v3/"),
    service(
        "yandex_key",
        r"AQVN[\w-]{30,}|y0_[\w-]{30,}|t1\.[A-Z0-9a-z_-]+={0,2}\.[\w-]{60,}={0,2}",
        "aqvn",
        "y0_",
        "t1.",
    ),
    service("sourcegraph_token", r"sg[pd]_(?:[0-9a-f]{16}_|local_)?[0-9a-f]{40}", "sgp_", "sgd_"),
    service("sonar_token", r"sq[upa]_[0-9a-f]{40}", "squ_", "sqp_", "sqa_"),
    service(
        "launchdarkly_key",
        r"(?:sdk|mob|api)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "sdk-",
        "mob-",
        "api-",
    ),
    service("mapbox_token", r"[sp]k\.eyJ[\w-]{20,}\.[\w-]{16,}", "k.eyj"),
    service("typeform_token", r"tfp_[\w.=-]{30,}", "tfp_"),
    service("prefect_key", r"pn[ub]_[a-z0-9A-Z]{30,}", "pnu_", "pnb_"),
    service(
        "payment_key",
        r"EZ[AT]K[A-Za-z0-9]{50,}|FLWSECK(?:_TEST)?-[0-9a-fA-F]{32}-X"
        r"|(?:access|public|link)-(?:sandbox|development|production)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
        r"|shippo_(?:live|test)_[0-9a-f]{40}|duffel_(?:live|test)_[\w-]{40,}|rzp_(?:live|test)_[A-Za-z0-9]{14,}",
        "ezak",
        "eztk",
        "flwseck",
        "-sandbox-",
        "-development-",
        "-production-",
        "shippo_",
        "duffel_",
        "rzp_",
    ),
    service("frameio_token", r"fio-u-[\w=-]{40,}", "fio-u-"),
    detector("adafruit_key", START + r"aio_[A-Za-z0-9]{20,}", "aio_", check=has_digit),
    service("openshift_token", r"sha256~[\w-]{40,}", "sha256~"),
    service("harness_token", r"[ps]at\.[\w-]{20,}\.[0-9a-fA-F]{20,}\.\w{16,}", "pat.", "sat."),
    service("infracost_key", r"ico-[A-Za-z0-9]{32}(?![A-Za-z0-9])", "ico-"),
    service(
        "cloudflare_key",
        r"v1\.0-[0-9a-f]{20,}-[0-9a-f]{100,}|cf(?:ut|at|k)_[A-Za-z0-9]{30,}",
        "v1.0-",
        "cf",
    ),
    service("ntfy_token", r"tk_[a-z0-9]{29}(?![A-Za-z0-9])", "tk_"),
    detector(
        "webhook", r"webhook\.office\.com/(?P<v>webhookb2/[^\s\"'<>)\\]{20,})", "webhook.office"
    ),
    detector("webhook", r"hooks\.zapier\.com/(?P<v>hooks/catch/[^\s\"'<>)\\]{8,})", "hooks.zapier"),
    detector(
        "webhook", r"logic\.azure\.com[^\s\"'<>]{0,200}sig=(?P<v>[\w%.-]{20,})", "logic.azure"
    ),
    detector("webhook", r"open\.feishu\.cn/open-apis/bot/v2/hook/(?P<v>[\w-]{20,})", "feishu.cn"),
    detector(
        "webhook",
        r"chat\.googleapis\.com/v1/spaces/(?P<v>[\w-]+/messages\?[^\s\"'<>]+)",
        "chat.googleapis",
    ),
    detector(
        "webhook",
        r"maker\.ifttt\.com/(?:trigger/\w+/(?:json/)?)?(?:with|use)/key/(?P<v>[\w-]{16,})",
        "ifttt.com",
    ),
    detector(
        "password_hash",
        r"(?<![\w$])(?:\{(?:SSHA|SHA|SMD5|CRYPT|PBKDF2)[\w-]*\})?\$(?:apr1|1|5|6|y|gy|7|2[abxy]|argon2(?:id|i|d)|scrypt|pbkdf2[\w-]*)\$[\w./$=,+-]{20,}",
        "$",
    ),
    detector(
        "password_hash",
        r"(?<![\w$])(?:pbkdf2_sha\d+|bcrypt_sha\d+|scrypt)\$\d+\$[\w./$=,+-]{20,}",
        "$",
    ),
    detector("password_hash", r"\{S?(?:SHA|MD5)\d*\}[A-Za-z0-9+/=]{20,}", "sha", "md5"),
)
