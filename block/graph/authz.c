/* SPDX-License-Identifier: MIT */
#include "block/graph/authz.h"

#include <string.h>
#include <sys/stat.h>

#ifdef KASO_HAVE_PAM
#include <security/pam_appl.h>
#endif

#include "base/error.h"
#include "base/file.h"
#include "base/library.h"
#include "block/graph/options.h"

enum { RULES_MAX = 4096 };

typedef struct {
    char *match;
    bool glob, allow;
} Rule;

typedef struct {
    GArray *rules; /* Rule: the first that fits decides */
    bool allow;    /* whom none fits */
} RuleList;

typedef struct AuthzType {
    const char *name;
    bool (*open)(Authz *authz, GHashTable *options, GError **error);
    bool (*allows)(Authz *authz, const char *identity, GError **error);
} AuthzType;

struct Authz {
    const AuthzType *type;
    char *text; /* identity, file or service */
    RuleList list;
    bool refresh;
    struct stat seen; /* the file as it was read */
};

static bool deny(const char *identity, GError **error)
{
    return error_fail(error, KASO_ERROR_INVALID, "'%s' is not allowed", identity);
}

/* Rules. */

static void clear_rule(void *opaque)
{
    g_free(((Rule *)opaque)->match);
}

static void rules_init(RuleList *list)
{
    list->rules = g_array_new(false, true, sizeof(Rule));
    g_array_set_clear_func(list->rules, clear_rule);
}

static bool take_policy(GHashTable *options, bool *allow, GError **error)
{
    static const char *const policies[] = { "deny", "allow", NULL };
    int policy = *allow;
    bool done = options_take_enum(options, "policy", policies, &policy, error);

    *allow = policy;
    return done;
}

static bool add_rule(RuleList *list, GHashTable *options, GError **error)
{
    static const char *const formats[] = { "exact", "glob", NULL };
    g_autofree char *match = options_take(options, "match");
    Rule rule = { 0 };
    int format = 0;

    if (!match || !options_get(options, "policy")) {
        return error_fail(error, KASO_ERROR_INVALID, "a rule needs match= and policy=");
    }
    if (!take_policy(options, &rule.allow, error) ||
        !options_take_enum(options, "format", formats, &format, error) ||
        !options_check_empty(options, "rule", NULL, error)) {
        return false;
    }
    rule.match = g_steal_pointer(&match);
    rule.glob = format == 1;
    g_array_append_val(list->rules, rule);
    return true;
}

static bool take_rules(RuleList *list, GHashTable *options, GError **error)
{
    rules_init(list);
    for (unsigned i = 0; i < RULES_MAX; i++) {
        g_autofree char *prefix = g_strdup_printf("rules.%u", i);
        g_autoptr(GHashTable) rule = options_take_nested(options, prefix);

        if (!g_hash_table_size(rule)) {
            break;
        }
        if (!add_rule(list, rule, error)) {
            g_prefix_error(error, "%s: ", prefix);
            return false;
        }
    }
    return take_policy(options, &list->allow, error);
}

static void rules_clear(RuleList *list)
{
    if (list->rules) {
        g_array_unref(list->rules);
    }
    *list = (RuleList){ 0 };
}

static bool rules_allow(Authz *authz, const char *identity, GError **error)
{
    const RuleList *list = &authz->list;
    bool allow = list->allow;

    for (guint i = 0; i < list->rules->len; i++) {
        const Rule *rule = &g_array_index(list->rules, Rule, i);

        if (rule->glob ? g_pattern_match_simple(rule->match, identity)
                       : strcmp(rule->match, identity) == 0) {
            allow = rule->allow;
            break;
        }
    }
    return allow || deny(identity, error);
}

/* A file of rules, which is read again when it is another one. */

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static bool read_rules(Authz *authz, GError **error)
{
    g_autoptr(GHashTable) options = NULL;
    g_autofree char *text = NULL;
    RuleList list = { 0 };

    if (!file_read(authz->text, FILE_TEXT_MOST, &text, NULL, error)) {
        return false;
    }
    options = options_parse_json(text, error);
    if (!options || !take_rules(&list, options, error) ||
        !options_check_empty(options, "list of rules", NULL, error)) {
        g_prefix_error(error, "%s: ", authz->text);
        rules_clear(&list);
        return false;
    }
    rules_clear(&authz->list);
    authz->list = list;
    return true;
}

/* What cannot be read lets nobody in, until it can. */
static bool file_allows(Authz *authz, const char *identity, GError **error)
{
    struct stat now = { 0 };

    if (authz->refresh && (stat(authz->text, &now) < 0 || !same_file(&now, &authz->seen))) {
        authz->seen = (struct stat){ 0 };
        if (!read_rules(authz, error)) {
            return false;
        }
        authz->seen = now;
    }
    return rules_allow(authz, identity, error);
}

static bool open_file(Authz *authz, GHashTable *options, GError **error)
{
    authz->text = options_take(options, "filename");
    authz->refresh = true;
    if (!authz->text) {
        return error_fail(error, KASO_ERROR_INVALID, "it needs filename=");
    }
    if (!options_take_bool(options, "refresh", &authz->refresh, error)) {
        return false;
    }
    stat(authz->text, &authz->seen);
    return read_rules(authz, error);
}

/* The others. */

static bool open_list(Authz *authz, GHashTable *options, GError **error)
{
    return take_rules(&authz->list, options, error);
}

static bool open_simple(Authz *authz, GHashTable *options, GError **error)
{
    authz->text = options_take(options, "identity");
    return authz->text || error_fail(error, KASO_ERROR_INVALID, "it needs identity=");
}

static bool simple_allows(Authz *authz, const char *identity, GError **error)
{
    return strcmp(authz->text, identity) == 0 || deny(identity, error);
}

#ifdef KASO_HAVE_PAM
#define PAM_FUNCTIONS(F) F(pam_acct_mgmt) F(pam_end) F(pam_start) F(pam_strerror)

static struct {
    PAM_FUNCTIONS(LIBRARY_MEMBER)
} pam;

LIBRARY_FILLS(pam, PAM_FUNCTIONS, "libpam.so.0", "libpam0g");

static bool open_pam(Authz *authz, GHashTable *options, GError **error)
{
    if (!library_want(&pam_library, error)) {
        return false;
    }
    authz->text = options_take(options, "service");
    return authz->text || error_fail(error, KASO_ERROR_INVALID, "it needs service=");
}

/* Nobody is there to be asked: modules that want to converse fail. */
static int say_nothing(int count, const struct pam_message **messages,
                       struct pam_response **answers, void *opaque)
{
    return PAM_CONV_ERR;
}

static bool pam_allows(Authz *authz, const char *identity, GError **error)
{
    const struct pam_conv conversation = { .conv = say_nothing };
    pam_handle_t *handle = NULL;
    int result = pam.pam_start(authz->text, identity, &conversation, &handle);

    if (result == PAM_SUCCESS) {
        result = pam.pam_acct_mgmt(handle, PAM_SILENT);
    }
    if (result != PAM_SUCCESS) {
        error_fail(error, KASO_ERROR_INVALID, "PAM's service '%s' says of '%s': %s", authz->text,
                   identity, pam.pam_strerror(handle, result));
    }
    if (handle) {
        pam.pam_end(handle, result);
    }
    return result == PAM_SUCCESS;
}
#else
static bool open_pam(Authz *authz, GHashTable *options, GError **error)
{
    return error_fail(error, KASO_ERROR_UNSUPPORTED,
                      "this program was built without libpam; use authz-list");
}

static bool pam_allows(Authz *authz, const char *identity, GError **error)
{
    return deny(identity, error);
}
#endif

static const AuthzType types[] = {
    { "authz-simple", open_simple, simple_allows },
    { "authz-list", open_list, rules_allow },
    { "authz-list-file", open_file, file_allows },
    { "authz-pam", open_pam, pam_allows },
};

static const AuthzType *find_type(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        if (strcmp(types[i].name, name) == 0) {
            return &types[i];
        }
    }
    return NULL;
}

bool authz_is_type(const char *type)
{
    return find_type(type) != NULL;
}

Authz *authz_new(const char *type, GHashTable *options, GError **error)
{
    Authz *authz = g_new0(Authz, 1);

    authz->type = find_type(type);
    if (authz->type->open(authz, options, error) &&
        options_check_empty(options, type, NULL, error)) {
        return authz;
    }
    g_prefix_error(error, "%s: ", type);
    authz_free(authz);
    return NULL;
}

void authz_free(Authz *authz)
{
    if (authz) {
        rules_clear(&authz->list);
        g_free(authz->text);
        g_free(authz);
    }
}

bool authz_allows(Authz *authz, const char *identity, GError **error)
{
    return authz->type->allows(authz, identity, error);
}
