/* SPDX-License-Identifier: MIT */
/*
 * Power cuts while LUKS key slots change: after each write, with unflushed ones lost, kept, mixed
 * and torn, a passphrase that is not being erased opens the image, and one that was erased does not.
 */
#include "tests/block/faulty.h"

#include <string.h>

typedef struct {
    const char *name;
    const char *before, *change; /* amendments; before may be NULL */
    bool force;
    /* Secrets of which at least one opens at any time; those that open in the end; that do not. */
    const char *always[3], *after[3], *never[3];
} Change;

typedef struct {
    Kind kind;
    const char *prefix;
    const Change *change;
} Case;

static const Change changes[] = {
    { "add", NULL, "state=active,new-secret=b", false, { "a" }, { "a", "b" }, { "c" } },
    { "slot-6",
      NULL,
      "state=active,new-secret=b,keyslot=6",
      false,
      { "a" },
      { "a", "b" },
      { "c" } },
    { "erase",
      "state=active,new-secret=b",
      "state=inactive,old-secret=a",
      false,
      { "b" },
      { "b" },
      { "a" } },
    { "erase-6",
      "state=active,new-secret=b,keyslot=6",
      "state=inactive,keyslot=6",
      false,
      { "a" },
      { "a" },
      { "b" } },
    { "overwrite",
      NULL,
      "state=active,new-secret=b,keyslot=0",
      true,
      { "a", "b" },
      { "b" },
      { "a" } },
};

static const Kind luks = { "key-secret=a,iter-time=1,cipher-alg=aes-128", .format = "luks" };
static const Kind qcow2 = { "cluster_size=4096,encrypt.format=luks,encrypt.key-secret=a,"
                            "encrypt.iter-time=1,encrypt.cipher-alg=aes-128" };

/* The image with that secret as its key; NULL: it does not open. */
static BlockNode *open_with(const Case *test, const char *secret, bool writable)
{
    Kind kind = test->kind;

    kind.key = true;
    block_secret_set(graph, "key", g_strdup(secret), strlen(secret));
    return image_open(&kind, writable, false, NULL);
}

static bool opens(const Case *test, const char *secret)
{
    BlockNode *node = open_with(test, secret, false);

    if (node) {
        node_unref(node);
    }
    return node != NULL;
}

static void amend(const Case *test, const char *text, bool force)
{
    g_autoptr(GHashTable) given = options_parse(text, NULL, NULL), options = options_new();
    BlockNode *node = open_with(test, "a", true);
    GHashTableIter iter;
    gpointer key, value;
    GError *error = NULL;

    g_assert_nonnull(node);
    g_hash_table_iter_init(&iter, given);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        g_autofree char *name = g_strconcat(test->prefix, key, NULL);

        options_set(options, name, value);
    }
    if (strstr(text, "new-secret")) {
        g_autofree char *name = g_strconcat(test->prefix, "iter-time", NULL);

        options_set(options, name, "1");
    }
    node->driver->amend(node, options, force, NULL, NULL, &error);
    g_assert_no_error(error);
    node_unref(node);
}

static void check_cut(const Case *test, unsigned cut, Variant variant)
{
    const Change *change = test->change;
    bool any = false, done = cut == lab->events;

    for (const char *const *secret = change->always; *secret; secret++) {
        any |= opens(test, *secret);
    }
    for (const char *const *secret = change->after; *secret && done; secret++) {
        g_assert_true(opens(test, *secret));
    }
    for (const char *const *secret = change->never; *secret && done; secret++) {
        g_assert_false(opens(test, *secret));
    }
    if (!any) {
        g_error("%s, cut %u of %u, variant %d: locked out", change->name, cut, lab->events,
                variant);
    }
}

static void entry(void *opaque)
{
    const Case *test = opaque;
    g_autofree Disk *start = g_new(Disk, DISKS);
    GRand *rand = g_rand_new_with_seed(5);

    for (const char *const *id = (const char *const[]){ "a", "b", "c", NULL }; *id; id++) {
        block_secret_set(graph, *id, g_strdup(*id), strlen(*id));
    }
    image_create(&test->kind);
    if (test->change->before) {
        amend(test, test->change->before, false);
    }
    memcpy(start, lab->disks, sizeof lab->disks);
    lab->recording = true;
    amend(test, test->change->change, test->change->force);
    lab->recording = false;
    g_assert_cmpuint(lab->events, >=, 4);
    for (unsigned cut = 0; cut <= lab->events; cut++) {
        for (Variant variant = 0; variant < VARIANTS; variant++) {
            build_disks(start, cut, variant, rand);
            check_cut(test, cut, variant);
        }
    }
    g_rand_free(rand);
}

static void run_case(gconstpointer opaque)
{
    graph = block_graph_new(NULL);
    block_graph_set_blocking(graph, true);
    async_run_sync(block_graph_context(graph), entry, (void *)opaque);
    block_graph_free(graph);
}

int main(int argc, char **argv)
{
    static Case cases[2 * G_N_ELEMENTS(changes)];

    g_test_init(&argc, &argv, NULL);
    lab_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        bool is_qcow2 = i % 2;
        const Change *change = &changes[i / 2];
        g_autofree char *name =
            g_strdup_printf("/%s/%s", is_qcow2 ? "qcow2" : "luks", change->name);

        cases[i] = (Case){ is_qcow2 ? qcow2 : luks, is_qcow2 ? "encrypt." : "", change };
        g_test_add_data_func(name, &cases[i], run_case);
    }
    return g_test_run();
}
