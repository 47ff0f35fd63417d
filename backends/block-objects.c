/* SPDX-License-Identifier: MIT */
/* Objects of -object that the block layer keeps: passphrases, TLS credentials, who may come in, throttle groups. */
#include <jansson.h>
#include <string.h>

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

/* Each limit is seen alone, too; they are changed together. */
static char *throttle_get(Machine *machine, const char *id, const Property *property,
                          GError **error)
{
    g_autofree char *text = block_throttle_group_limits(machine->block_graph, id, NULL, error);
    json_t *limits;
    char *one;

    if (property->kind == PROPERTY_JSON) {
        return g_steal_pointer(&text);
    }
    limits = json_loads(text, 0, NULL);
    one =
        g_strdup_printf("%" JSON_INTEGER_FORMAT,
                        json_integer_value(json_object_get(limits, property->name + strlen("x-"))));
    json_decref(limits);
    return one;
}

static bool throttle_set(Machine *machine, const char *id, const Property *property,
                         const char *value, GError **error)
{
    g_autofree char *limits = NULL;

    if (property->kind != PROPERTY_JSON) {
        return error_fail(error, KASO_ERROR_GENERIC, "Property cannot be set after initialization");
    }
    limits = block_throttle_group_limits(machine->block_graph, id, value, error);
    return limits != NULL;
}

#define LIMIT(name, summary)                                                                       \
    { "x-" name, PROPERTY_U64, 0, summary },                                                       \
        { "x-" name "-max", PROPERTY_U64, 0, "the same in a burst" },                              \
    {                                                                                              \
        "x-" name "-max-length", PROPERTY_U64, 0, "seconds that a burst may last"                  \
    }

static const Property throttle_properties[] = {
    LIMIT("bps-total", "bytes a second"),
    LIMIT("bps-read", "bytes read a second"),
    LIMIT("bps-write", "bytes written a second"),
    LIMIT("iops-total", "requests a second"),
    LIMIT("iops-read", "reads a second"),
    LIMIT("iops-write", "writes a second"),
    { "x-iops-size", PROPERTY_U64, 0, "bytes that count as one request" },
    { "limits", PROPERTY_JSON, 0, "all of them, without x-: limits.bps-total= …" },
    { 0 },
};

static const ObjectType throttle_group_type = {
    .name = "throttle-group",
    .summary = "Limits that drives share",
    .properties = throttle_properties,
    .add = add,
    .remove = forget,
    .get = throttle_get,
    .set = throttle_set,
};
OBJECT_TYPE(throttle_group_type);
