/* SPDX-License-Identifier: MIT */
/* BPF type format (Documentation/bpf/btf.rst): the types that a kernel carries with it. */
#ifndef DEBUG_LINUX_BTF_H
#define DEBUG_LINUX_BTF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "debug/types.h"

enum { BTF_HEADER_BYTES = 24, BTF_BYTES_MAX = 64 << 20 };

/* How long the whole is, by its header (BTF_HEADER_BYTES). false: it is none. */
bool btf_measure(const uint8_t *header, size_t *bytes);
/* NULL with an error: it is damaged. bytes are copied where they are kept. */
Types *btf_parse(const uint8_t *bytes, size_t size, GError **error);

#endif
