/* SPDX-License-Identifier: MIT */
/* What fuzz targets share: libFuzzer's entry points, and what they must not be led to do. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/*
 * Whether a text could reach the host beyond the folder that the run is in: files elsewhere, programs, the network, the
 * fuzzer's own descriptors. Such inputs are skipped, not run.
 */
bool fuzz_is_unsafe(const char *text);
/* Moves the process to an empty folder of its own, and its output to nowhere unless FUZZ_VERBOSE is set. */
void fuzz_enter_folder(void);

#endif
