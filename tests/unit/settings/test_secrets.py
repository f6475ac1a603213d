"""A credential is never written down: not in the document, not in a message."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest

from elspeth.settings import SettingsProblems, is_credential, load_stored

TEXT = """\
source:
  plugin: api
  options:
    api_key: ${API_KEY}
    url: postgresql://reader:${DB_PASSWORD}@${DB_HOST}/claims
    headers: {Authorization: "Bearer ${TOKEN}", X-Trace: "${TRACE}"}
    max_tokens: 100
sinks: {out: {plugin: csv}}
"""
ENVIRON = {
    "API_KEY": "key-hunter1",
    "DB_PASSWORD": "hunter2!",
    "DB_HOST": "db.example",
    "TOKEN": "hunter3",
    "TRACE": "on",
}
SECRETS = ("key-hunter1", "hunter2!", "hunter3")


@pytest.mark.parametrize("name", [
    "api_key", "apiKey", "API_KEY", "apikey", "openai_api_key", "password", "db_password", "dbPassword", "passwd",
    "token", "access_token", "secret", "client_secret", "Authorization", "X-Api-Key", "X-Auth-Token", "private_key",
    "credentials", "secret_access_key", "account_key", "passphrase", "Cookie",
])  # fmt: skip
def test_a_field_of_this_name_holds_a_credential(name):
    assert is_credential(name)


@pytest.mark.parametrize("name", [
    "max_tokens", "tokens", "password_field", "token_column", "key", "data_key", "keys", "keyword", "primary_key",
    "secretary", "path", "author", "tokenizer", "", "123", "on_error", "group_key",
])  # fmt: skip
def test_a_field_of_this_name_holds_none(name):
    assert not is_credential(name)


def test_the_process_gets_the_values_and_the_document_the_references(loaded):
    loading = loaded(TEXT, ENVIRON)
    assert loading.settings.source.options["api_key"] == "key-hunter1"
    assert loading.settings.source.options["url"] == "postgresql://reader:hunter2!@db.example/claims"
    assert loading.settings.source.options["headers"]["Authorization"] == "Bearer hunter3"
    options = loading.document["source"]["options"]
    assert options["api_key"] == "${API_KEY}"
    assert options["url"] == "postgresql://reader:${DB_PASSWORD}@db.example/claims"
    assert options["headers"] == {"Authorization": "Bearer ${TOKEN}", "X-Trace": "on"}
    assert options["max_tokens"] == 100


def test_no_secret_is_in_anything_that_is_written(loaded):
    loading = loaded(TEXT, ENVIRON)
    written = loading.settings_json + repr(loading) + repr(loading.warnings)
    assert not [secret for secret in SECRETS if secret in written]


def test_a_url_that_is_one_variable_is_stored_as_that_variable(loaded):
    loading = loaded(
        'source: {plugin: db, options: {url: "${DB_URL}"}}\nsinks: {out: {plugin: csv}}\n',
        {"DB_URL": "mysql://u:hunter2@h/d?x=1"},
    )
    assert loading.document["source"]["options"]["url"] == "${DB_URL}"
    assert loading.conceal("cannot log in with hunter2") == "cannot log in with ${DB_URL}"


def test_fingerprints_are_keyed_with_the_key_of_the_environment(loaded):
    loading = loaded(TEXT, {**ENVIRON, "ELSPETH_FINGERPRINT_KEY": "pepper"})
    expected = hmac.new(b"pepper", b"key-hunter1", hashlib.sha256).hexdigest()
    assert loading.document["secrets"][0] == {
        "path": ["source", "options", "api_key"],
        "reference": "${API_KEY}",
        "fingerprint": f"hmac-sha256:{expected}",
    }


def test_without_a_key_equal_credentials_still_have_equal_fingerprints(loaded):
    first, again, other = (loaded(TEXT, {**ENVIRON, "API_KEY": key}) for key in ("one", "one", "two"))
    prints = [loading.document["secrets"][0]["fingerprint"] for loading in (first, again, other)]
    assert prints[0] == prints[1] != prints[2]
    assert prints[0].startswith("hmac-sha256-derived:")


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": "hunter2"},
        {"password": 12345},
        {"nested": [{"token": "hunter2"}]},
        {"api_keys": ["hunter2"]},
        {"url": "postgresql://u:hunter2@h/d"},
        {"url": "https://h/d?a=1&api_key=hunter2"},
        {"text": "see ftp://u:hunter2@h and more"},
        {"api_key": "${GONE:-hunter2}"},
        {"url": "postgresql://u:${GONE:-hunter2}@h/d"},
        {"headers": {"X-Api-Key": "hunter2"}},
    ],
)
def test_a_credential_in_the_file_itself_is_refused_and_not_repeated(problems, options):
    text = json.dumps({"source": {"plugin": "api", "options": options}, "sinks": {"out": {"plugin": "csv"}}})
    [problem] = problems(text)
    assert "must not stand here itself" in problem.message
    assert "hunter2" not in str(problem)
    assert "12345" not in str(problem)


@pytest.mark.parametrize(
    "url", ["db://u:hunter2${BEHIND}", "db://u${BEFORE}hunter2@h/d", "db://u${BEFORE}hunter2${BEHIND}"]
)
def test_a_variable_that_stands_beside_a_credential_is_none_and_does_not_cover_it(problems, url):
    text = json.dumps({"source": {"plugin": "api", "options": {"url": url}}, "sinks": {"out": {"plugin": "csv"}}})
    [problem] = problems(text, {"BEFORE": ":", "BEHIND": "@h/d"})
    assert "must not stand here itself" in problem.message
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    "options",
    [
        {"mapping": {"password": "pw", "token": "t"}},
        {"fields": {"password": 4}},
        {"schema": {"fields": {"token": "str"}}},
        {"headers": {"token": "The token"}},
        {"api_key": ""},
        {"api_key": None},
        {"url": "https://host/path?page=2"},
        {"url": "https://user@host/"},
        {"group_by": "token"},
        {"use_token": True},
    ],
)
def test_what_only_looks_like_a_credential_is_let_be(loaded, options):
    text = json.dumps({"source": {"plugin": "api", "options": options}, "sinks": {"out": {"plugin": "csv"}}})
    assert "secrets" not in loaded(text).document


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        ({"api_key": "hunter2"}, {"api_key": "[redacted]"}),
        ({"url": "postgresql://u:hunter2@h/d"}, {"url": "postgresql://u:[redacted]@h/d"}),
    ],
)
def test_where_raw_secrets_are_allowed_they_are_stored_redacted(loaded, options, stored):
    text = json.dumps({"source": {"plugin": "api", "options": options}, "sinks": {"out": {"plugin": "csv"}}})
    loading = loaded(text, {"ELSPETH_ALLOW_RAW_SECRETS": "true"})
    assert loading.settings.source.options == options
    assert loading.document["source"]["options"] == stored
    assert "hunter2" not in loading.settings_json
    assert [warning.line for warning in loading.warnings] == [1]


def test_a_redacted_credential_is_asked_for_on_resume_by_the_variable_that_can_give_it(loaded):
    text = "source: {plugin: api, options: {api_key: hunter2}}\nsinks: {out: {plugin: csv}}\n"
    stored = loaded(text, {"ELSPETH_ALLOW_RAW_SECRETS": "true"}).settings_json
    with pytest.raises(Exception, match="ELSPETH_SOURCE__OPTIONS__API_KEY is not set"):
        load_stored(stored, {}, dotenv=False)
    again = load_stored(stored, {"ELSPETH_SOURCE__OPTIONS__API_KEY": "hunter2"}, dotenv=False)
    assert again.settings.source.options["api_key"] == "hunter2"
    assert "hunter2" not in again.settings_json
    assert again.warnings == ()


def test_a_credential_given_by_an_override_is_stored_as_its_variable(loaded):
    text = "source: {plugin: api}\nsinks: {out: {plugin: csv}}\n"
    loading = loaded(text, {"ELSPETH_SOURCE__OPTIONS__API_KEY": "0123"})
    assert loading.settings.source.options["api_key"] == "0123"
    assert loading.document["source"]["options"]["api_key"] == "${ELSPETH_SOURCE__OPTIONS__API_KEY}"


def test_a_secret_does_not_show_in_problems_of_other_keys_either(problems):
    text = TEXT + 'checkpoint: {frequency: "every-${API_KEY}"}\nlandscape: {url: "db://u:hunter4@h"}\n'
    told = " ".join(str(problem) for problem in problems(text, ENVIRON))
    assert "checkpoint.frequency" in told
    assert not [secret for secret in (*SECRETS, "hunter4") if secret in told]


def test_concealing_reaches_into_lists_mappings_and_longer_texts(loaded):
    loading = loaded(TEXT, ENVIRON)
    value = {"a": ["Bearer hunter3", 1, None, True], "b": ("key-hunter1",)}
    assert loading.conceal(value) == {"a": ["Bearer ${TOKEN}", 1, None, True], "b": ["${API_KEY}"]}
    assert loading.conceal(loading.settings.source.options) == loading.document["source"]["options"]


def test_a_short_secret_is_concealed_where_it_stands_alone_and_words_stay_whole(loaded):
    loading = loaded(TEXT, {**ENVIRON, "DB_PASSWORD": "test"})
    assert loading.conceal(loading.settings.source.options) == loading.document["source"]["options"]
    assert loading.conceal(["test", "the latest"]) == ["${DB_PASSWORD}", "the latest"]


def test_what_a_further_check_says_is_told_without_the_secret_in_it(problems):
    def plugin_refuses(settings, positions):
        key = settings.source.options["api_key"]
        raise SettingsProblems([positions.problem(("source", "options"), f"{key} is too short", found=repr(key))])

    [problem] = problems(TEXT, ENVIRON, further=plugin_refuses)
    assert problem.line == 3
    assert problem.message == "${API_KEY} is too short"
    assert problem.found == "'${API_KEY}'"


def test_braces_beside_a_credential_come_back_as_they_were(loaded):
    text = "source: {plugin: api, options: {token: '$${A}-${TOKEN}'}}\nsinks: {out: {plugin: csv}}\n"
    first = loaded(text, ENVIRON)
    again = load_stored(first.settings_json, ENVIRON, dotenv=False)
    assert again.settings.source.options["token"] == "${A}-hunter3"
    assert again.document == first.document


LANDSCAPE = 'landscape: {url: "postgresql://ada:${AUDIT_PASSWORD}@db.example/audit?schema=pipelines"}\n'
AUDIT_URL = "postgresql://ada:hunter2!@db.example/audit"


def test_the_password_of_an_audit_database_is_no_part_of_what_is_stored(loaded, good):
    loading = loaded(good + LANDSCAPE, {"AUDIT_PASSWORD": "hunter2!"})
    assert loading.settings.landscape.url == "postgresql://ada:hunter2!@db.example/audit?schema=pipelines"
    assert "postgresql://ada:${AUDIT_PASSWORD}@db.example/audit" in loading.settings_json
    assert "hunter2" not in loading.settings_json + repr(loading) + repr(loading.warnings)


def test_an_audit_database_named_by_the_environment_stores_no_password(loaded, good):
    loading = loaded(good, {"ELSPETH_LANDSCAPE__URL": AUDIT_URL})
    assert loading.settings.landscape.url == AUDIT_URL
    assert "hunter2" not in loading.settings_json + repr(loading) + repr(loading.warnings)


def test_a_password_of_an_audit_database_in_the_file_itself_is_refused(problems, good):
    [problem] = problems(good + f'landscape: {{url: "{AUDIT_URL}"}}\n')
    assert "must not stand here itself" in problem.message
    assert "hunter2" not in str(problem)
