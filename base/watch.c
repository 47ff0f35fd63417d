/* SPDX-License-Identifier: MIT */
#include "base/watch.h"

void watch_no_nesting(GSource *source)
{
    g_source_set_can_recurse(source, TRUE);
}

guint watch_descriptor_full(int fd, GIOCondition condition, GUnixFDSourceFunc call, gpointer opaque,
                            GDestroyNotify ended)
{
    GSource *source = g_unix_fd_source_new(fd, condition);
    guint id;

    watch_no_nesting(source);
    g_source_set_callback(source, G_SOURCE_FUNC(call), opaque, ended);
    id = g_source_attach(source, NULL);
    g_source_unref(source);
    return id;
}

guint watch_descriptor(int fd, GIOCondition condition, GUnixFDSourceFunc call, gpointer opaque)
{
    return watch_descriptor_full(fd, condition, call, opaque, NULL);
}
