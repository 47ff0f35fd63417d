/* SPDX-License-Identifier: MIT */
/* Edges of the image graph: who uses which node, with which permissions; nodes replaced by others. */
#include "block/graph/node.h"

#include "base/error.h"

#include <string.h>

/* Permissions. */

/* The permissions that a child of this role needs, given what the node's users need. */
static void default_child_perm(BlockNode *node, BlockChild *child, unsigned perm, unsigned shared,
                               unsigned *child_perm, unsigned *child_shared)
{
    if (child->role & BLOCK_ROLE_FILTERED) {
        *child_perm = perm;
        *child_shared = shared;
    } else if (child->role & BLOCK_ROLE_COW) {
        *child_perm = perm & BLOCK_PERM_CONSISTENT_READ;
        *child_shared = shared & BLOCK_PERM_WRITE ? BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE : 0;
        *child_shared |= BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE_UNCHANGED;
    } else {
        *child_perm = perm;
        *child_shared = shared;
        if (child->role & BLOCK_ROLE_METADATA) {
            if (!node->flags.no_io) {
                *child_perm |= BLOCK_PERM_CONSISTENT_READ;
            }
            if (!node->read_only) {
                *child_perm |= BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE;
            }
            *child_shared &= ~(BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE);
        }
        if (*child_perm & BLOCK_PERM_WRITE) {
            *child_perm |= BLOCK_PERM_RESIZE; /* growing the file is part of writing */
        }
    }
    if (node->flags.force_share) {
        *child_shared = BLOCK_PERM_ALL;
    }
}

static void node_cumulative_perms(BlockNode *node, unsigned *perm, unsigned *shared)
{
    *perm = 0;
    *shared = BLOCK_PERM_ALL;
    for (GList *link = node->parents.head; link; link = link->next) {
        BlockChild *child = link->data;

        *perm |= child->perm;
        *shared &= child->shared;
    }
    if (node->flags.force_share) {
        *shared = BLOCK_PERM_ALL;
    }
}

static char *perm_names(unsigned perm)
{
    static const char *const names[] = { "consistent read", "write", "write unchanged", "resize" };
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (perm >> i & 1) {
            g_string_append_printf(text, "%s%s", text->len ? ", " : "", names[i]);
        }
    }
    return g_string_free(text, FALSE);
}

static char *child_user(const BlockChild *child)
{
    return child->parent ? g_strdup_printf("node '%s'", child->parent->node_name)
                         : g_strdup(child->owner);
}

static bool fail_conflict(const BlockChild *needs, const BlockChild *refuses, GError **error)
{
    const char *node = needs->node->node_name;
    g_autofree char *names = perm_names(needs->perm & ~refuses->shared);
    g_autofree char *who = child_user(needs), *whom = child_user(refuses);

    return error_fail(error, KASO_ERROR_GENERIC,
                      "Permission conflict on node '%s': permissions '%s' are both required by %s "
                      "(uses node '%s' as '%s' child) and unshared by %s (uses node '%s' as '%s' "
                      "child).",
                      node, names, who, node, needs->name, whom, node, refuses->name);
}

/* Each user must be let do what it needs by each other one. */
static bool node_check_conflicts(BlockNode *node, GError **error)
{
    for (GList *a = node->parents.head; a; a = a->next) {
        for (GList *b = node->parents.head; b; b = b->next) {
            const BlockChild *x = a->data, *y = b->data;

            if (x != y && x->perm & ~y->shared) {
                return fail_conflict(x, y, error);
            }
        }
    }
    return true;
}

bool node_refresh_perms(BlockNode *node, GError **error)
{
    unsigned perm, shared;

    if (!node_check_conflicts(node, error)) {
        return false;
    }
    node_cumulative_perms(node, &perm, &shared);
    if ((perm & (BLOCK_PERM_WRITE | BLOCK_PERM_WRITE_UNCHANGED)) && node->read_only) {
        return error_fail(error, KASO_ERROR_GENERIC, "Block node '%s' (%s) is read-only",
                          node->node_name, node->filename);
    }
    if (node->driver->set_perm &&
        !node->driver->set_perm(node, node->inactive ? 0 : perm,
                                node->inactive ? BLOCK_PERM_ALL : shared, error)) {
        return false;
    }
    node->perm = perm;
    node->shared = shared;
    for (GList *link = node->children.head; link; link = link->next) {
        BlockChild *child = link->data;
        unsigned child_perm, child_shared;

        (node->driver->child_perm ? node->driver->child_perm : default_child_perm)(
            node, child, perm, shared, &child_perm, &child_shared);
        if ((child_perm != child->perm || child_shared != child->shared) &&
            !child_set_perm(child, child_perm, child_shared, error)) {
            return false;
        }
    }
    return true;
}

bool child_set_perm(BlockChild *child, unsigned perm, unsigned shared, GError **error)
{
    unsigned old_perm = child->perm, old_shared = child->shared;

    child->perm = perm;
    child->shared = shared;
    if (node_refresh_perms(child->node, error)) {
        return true;
    }
    child->perm = old_perm;
    child->shared = old_shared;
    node_refresh_perms(child->node, NULL);
    return false;
}

/* Edges. */

static BlockChild *child_new(BlockNode *parent, BlockNode *node, const char *name, BlockRole role)
{
    BlockChild *child = g_new0(BlockChild, 1);

    child->name = g_strdup(name);
    child->role = role;
    child->parent = parent;
    child->node = node;
    child->shared = BLOCK_PERM_ALL;
    child->in_parent.data = child;
    child->in_node.data = child;
    g_queue_push_tail_link(&node->parents, &child->in_node);
    if (parent) {
        g_queue_push_tail_link(&parent->children, &child->in_parent);
        if (!strcmp(name, "file")) {
            parent->file = child;
        } else if (!strcmp(name, "backing")) {
            parent->backing = child;
        }
    }
    return child;
}

void child_detach(BlockChild *child)
{
    BlockNode *parent = child->parent, *node = child->node;

    g_queue_unlink(&node->parents, &child->in_node);
    if (parent) {
        g_queue_unlink(&parent->children, &child->in_parent);
        if (parent->file == child) {
            parent->file = NULL;
        }
        if (parent->backing == child) {
            parent->backing = NULL;
        }
    }
    if (node->references > 1) {
        node_refresh_perms(node, NULL); /* giving up permissions cannot conflict */
    }
    node_unref(node);
    g_free(child->name);
    g_free(child->owner);
    g_free(child);
}

bool node_reaches(const BlockNode *from, const BlockNode *to)
{
    if (from == to) {
        return true;
    }
    for (GList *link = from->children.head; link; link = link->next) {
        if (node_reaches(((BlockChild *)link->data)->node, to)) {
            return true;
        }
    }
    return false;
}

BlockChild *node_attach_child(BlockNode *parent, BlockNode *node, const char *name, BlockRole role,
                              GError **error)
{
    BlockChild *child;

    if (node_reaches(node, parent)) {
        error_fail(error, KASO_ERROR_GENERIC, "Making '%s' a child of '%s' would create a cycle",
                   node->node_name, parent->node_name);
        node_unref(node);
        return NULL;
    }
    child = child_new(parent, node, name, role);
    if (!node_refresh_perms(parent, error)) {
        child_detach(child);
        return NULL;
    }
    return child;
}

BlockChild *node_attach_user(BlockNode *node, const char *owner, unsigned perm, unsigned shared,
                             GError **error)
{
    BlockChild *child;

    node_ref(node);
    child = child_new(NULL, node, "root", 0);
    child->owner = g_strdup(owner);
    if (!child_set_perm(child, perm, shared, error)) {
        child_detach(child);
        return NULL;
    }
    return child;
}

bool node_set_backing(BlockNode *node, BlockNode *backing, GError **error)
{
    BlockChild *old = node->backing;

    if (backing) {
        node_ref(backing);
        if (!node_attach_child(node, backing, "backing", BLOCK_ROLE_COW, error)) {
            node->backing = old;
            return false;
        }
    }
    if (old) {
        BlockChild *new_child = backing ? node->backing : NULL;

        child_detach(old);
        node->backing = new_child;
    }
    return true;
}

static void move_edge(BlockChild *child, BlockNode *to)
{
    BlockNode *from = child->node;

    g_queue_unlink(&from->parents, &child->in_node);
    child->node = to;
    g_queue_push_tail_link(&to->parents, &child->in_node);
    node_ref(to);
    node_unref(from);
}

bool child_replace(BlockChild *child, BlockNode *to, GError **error)
{
    BlockNode *from = child->node;
    bool done;

    if (child->parent && node_reaches(to, child->parent)) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Making '%s' a child of '%s' would create a cycle", to->node_name,
                          child->parent->node_name);
    }
    node_ref(from);
    move_edge(child, to);
    done = node_refresh_perms(from, error) && node_refresh_perms(to, error) &&
           (!child->parent || node_refresh_perms(child->parent, error));
    if (!done) {
        move_edge(child, from);
        node_refresh_perms(to, NULL);
        node_refresh_perms(from, NULL);
    }
    node_unref(from);
    return done;
}

bool node_replace(BlockNode *from, BlockNode *to, BlockNode *except, GError **error)
{
    g_autoptr(GPtrArray) moved = g_ptr_array_new();
    bool done;

    for (GList *link = from->parents.head; link; link = link->next) {
        BlockChild *child = link->data;
        BlockNode *parent = child->parent;

        if (parent && (parent == except || parent == to)) {
            continue;
        }
        if (parent && node_reaches(to, parent)) {
            return error_fail(error, KASO_ERROR_GENERIC,
                              "Replacing '%s' by '%s' would create a cycle", from->node_name,
                              to->node_name);
        }
        g_ptr_array_add(moved, child);
    }
    node_ref(from); /* it may lose its last user */
    for (unsigned i = 0; i < moved->len; i++) {
        move_edge(moved->pdata[i], to);
    }
    /* First what is free now: `from` may hold images below against the new users of `to`. */
    done = node_refresh_perms(from, error) && node_refresh_perms(to, error);
    for (unsigned i = 0; !done && i < moved->len; i++) {
        move_edge(moved->pdata[i], from);
    }
    if (!done) {
        node_refresh_perms(to, NULL);
        node_refresh_perms(from, NULL);
    }
    node_unref(from);
    return done;
}

bool node_set_read_only(BlockNode *node, bool read_only, GError **error)
{
    bool old = node->read_only;

    if (old == read_only) {
        return true;
    }
    if (node->file && !read_only && !node_set_read_only(node->file->node, false, error)) {
        return false;
    }
    if (read_only) {
        int result = node_flush(node);

        if (result < 0) {
            return error_fail_errno(error, -result, "Could not flush %s", node->filename);
        }
    }
    node->read_only = read_only;
    if ((node->driver->reopen && !node->driver->reopen(node, read_only, error)) ||
        !node_refresh_perms(node, error)) {
        node->read_only = old;
        return false;
    }
    if (node->file && read_only) {
        return node_set_read_only(node->file->node, true, error);
    }
    return true;
}

BlockNode *node_skip_filters(BlockNode *node)
{
    while (node && node->driver->is_filter && node->file) {
        node = node->file->node;
    }
    return node;
}

BlockNode *node_below(BlockNode *node)
{
    if (node->driver->is_filter) {
        return node->file ? node->file->node : NULL;
    }
    return node->backing ? node->backing->node : NULL;
}

BlockNode *node_overlay(const BlockNode *node)
{
    for (GList *link = node->parents.head; link; link = link->next) {
        const BlockChild *child = link->data;
        BlockNode *above = child->parent;

        if (above && child->role & BLOCK_ROLE_FILTERED) {
            above = node_overlay(above);
        } else if (!(child->role & BLOCK_ROLE_COW)) {
            above = NULL;
        }
        if (above) {
            return above;
        }
    }
    return NULL;
}

const char *node_format(const BlockNode *node)
{
    while (node->driver->is_filter && node->file) {
        node = node->file->node;
    }
    return node->driver->name;
}
