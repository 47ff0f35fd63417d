/* SPDX-License-Identifier: MIT */
/* Objects of -object that the block layer keeps: passphrases, TLS credentials, who may come in, throttle groups. */
#include "base/error.h"
#include "block/block.h"
#include "machine/machine.h"
#include "machine/object.h"

static BlockGraph *graph_of(Machine *machine, GError **error)
{
    if (!machine->block_graph) {
        error_fail(error, KASO_ERROR_UNSUPPORTED, "this machine has no block layer");
    }
    return machine->block_graph;
}

static bool add(Machine *machine, GHashTable *options, GError **error)
{
    BlockGraph *graph = graph_of(machine, error);

    return graph && block_secret_add(graph, options, error);
}

static bool forget(Machine *machine, const char *id, GError **error)
{
    BlockGraph *graph = graph_of(machine, error);

    return graph && block_object_remove(graph, id, error);
}

/* The block layer reads the options itself; these rows are for help. */
#define ROW(name, summary)                                                                         \
    {                                                                                              \
        name, PROPERTY_STRING, 0, summary                                                          \
    }

static const Property secret_properties[] = {
    ROW("data", "the secret itself"),
    ROW("file", "file that holds it"),
    ROW("format", "raw, or base64"),
    ROW("keyid", "secret whose key decrypts it (AES-256-CBC)"),
    ROW("iv", "initialisation vector, base64"),
    { 0 },
};

static const ObjectType secret_type = {
    .name = "secret",
    .summary = "A passphrase or key",
    .properties = secret_properties,
    .add = add,
    .remove = forget,
};
OBJECT_TYPE(secret_type);

static const Property tls_properties[] = {
    ROW("dir", "folder that holds the files"),
    ROW("endpoint", "client, or server"),
    ROW("verify-peer", "on, or off"),
    ROW("priority", "GnuTLS priority string"),
    { 0 },
};

static const ObjectType tls_creds_x509_type = {
    .name = "tls-creds-x509",
    .summary = "X.509 certificates for TLS",
    .properties = tls_properties,
    .add = add,
    .remove = forget,
};
OBJECT_TYPE(tls_creds_x509_type);

static const ObjectType tls_creds_psk_type = {
    .name = "tls-creds-psk",
    .summary = "Pre-shared keys for TLS",
    .properties = tls_properties,
    .add = add,
    .remove = forget,
};
OBJECT_TYPE(tls_creds_psk_type);

static const Property anonymous_properties[] = {
    ROW("endpoint", "client, or server"),
    ROW("priority", "GnuTLS priority string"),
    { 0 },
};

static const ObjectType tls_creds_anon_type = {
    .name = "tls-creds-anon",
    .summary = "TLS without certificates: nobody is sure whom he talks to",
    .properties = anonymous_properties,
    .add = add,
    .remove = forget,
};
OBJECT_TYPE(tls_creds_anon_type);

static const Property authz_simple_properties[] = {
    ROW("identity", "name of the one who may"),
    { 0 },
};

static const ObjectType authz_simple_type = {
    .name = "authz-simple",
    .summary = "Lets one client come in (tls-authz, sasl-authz)",
    .properties = authz_simple_properties,
    .add = add,
    .remove = forget,
};
OBJECT_TYPE(authz_simple_type);

static const Property authz_list_properties[] = {
    ROW("policy", "deny, or allow: of whom no rule fits; deny"),
    ROW("rules.*",
        "rules.0.match, .policy (deny, allow), .format (exact, glob), rules.1.match ..."),
    { 0 },
};

static const ObjectType authz_list_type = {
    .name = "authz-list",
    .summary = "Rules about which clients may come in, of which the first that fits counts",
    .properties = authz_list_properties,
    .add = add,
    .remove = forget,
};
OBJECT_TYPE(authz_list_type);

static const Property authz_list_file_properties[] = {
    ROW("filename", "JSON with rules and policy as of authz-list"),
    ROW("refresh", "read it again when it has changed; on"),
    { 0 },
};

static const ObjectType authz_list_file_type = {
    .name = "authz-list-file",
    .summary = "Such rules in a file",
    .properties = authz_list_file_properties,
    .add = add,
    .remove = forget,
};
OBJECT_TYPE(authz_list_file_type);

static const Property authz_pam_properties[] = {
    ROW("service", "of PAM, whose account modules decide"),
    { 0 },
};

static const ObjectType authz_pam_type = {
    .name = "authz-pam",
    .summary = "Asks PAM which clients may come in",
    .properties = authz_pam_properties,
    .add = add,
    .remove = forget,
};
OBJECT_TYPE(authz_pam_type);

static const Property throttle_properties[] = {
    ROW("x-bps-total", "bytes a second; also -read, -write, with -max and -max-length"),
    ROW("x-iops-total", "requests a second; the same forms"),
    ROW("x-iops-size", "bytes that count as one request"),
    ROW("limits.*", "the same limits as QMP spells them"),
    { 0 },
};

static const ObjectType throttle_group_type = {
    .name = "throttle-group",
    .summary = "Limits that drives share",
    .properties = throttle_properties,
    .add = add,
    .remove = forget,
};
OBJECT_TYPE(throttle_group_type);
