/* SPDX-License-Identifier: MIT */
/* Why an interrupt is taken or not; see the header. */
#include "machine/irq-chain.h"

static void clear_link(void *data)
{
    IrqChainLink *link = data;

    g_free(link->where);
    g_free(link->text);
}

IrqChain *irq_chain_new(void)
{
    IrqChain *chain = g_new0(IrqChain, 1);

    chain->links = g_array_new(FALSE, TRUE, sizeof(IrqChainLink));
    g_array_set_clear_func(chain->links, clear_link);
    chain->vector = -1;
    chain->cpus = g_array_new(FALSE, TRUE, sizeof(unsigned));
    return chain;
}

void irq_chain_free(IrqChain *chain)
{
    g_array_unref(chain->links);
    g_array_unref(chain->cpus);
    g_free(chain);
}

void irq_chain_add(IrqChain *chain, const char *where, bool stops, const char *format, ...)
{
    IrqChainLink link = { .where = g_strdup(where), .stops = stops };
    va_list arguments;

    va_start(arguments, format);
    link.text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_array_append_val(chain->links, link);
}

void irq_chain_add_cpu(IrqChain *chain, unsigned index)
{
    for (guint i = 0; i < chain->cpus->len; i++) {
        if (g_array_index(chain->cpus, unsigned, i) == index) {
            return;
        }
    }
    g_array_append_val(chain->cpus, index);
}
