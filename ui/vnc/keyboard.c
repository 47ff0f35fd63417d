/* SPDX-License-Identifier: MIT */
#include "ui/vnc/keyboard.h"

#include <string.h>

#include <xkbcommon/xkbcommon.h>
#include <xkbcommon/xkbcommon-keysyms.h>

#include "base/error.h"
#include "base/library.h"
#include "machine/display.h"
#include "machine/input.h"

/* clang-format off */
#define XKB_FUNCTIONS(F) \
    F(xkb_context_new) F(xkb_context_set_log_fn) F(xkb_context_unref) \
    F(xkb_keymap_key_for_each) F(xkb_keymap_key_get_mods_for_level) \
    F(xkb_keymap_key_get_syms_by_level) F(xkb_keymap_mod_get_index) \
    F(xkb_keymap_new_from_names) F(xkb_keymap_num_levels_for_key) F(xkb_keymap_unref) \
    F(xkb_keysym_to_utf32) F(xkb_utf32_to_keysym)
/* clang-format on */

static struct {
    XKB_FUNCTIONS(LIBRARY_MEMBER)
} xkb;

LIBRARY_FILLS(xkb, XKB_FUNCTIONS, "libxkbcommon.so.0", "libxkbcommon0");

enum { XKB_CODE_OFFSET = 8, MASKS_MAX = 16 };

struct VncKeyboard {
    GHashTable *keys; /* keysym -> GArray of VncKey */
};

/* -k's names that are not XKB's. */
static const struct {
    const char *name, *layout, *variant;
} layouts[] = {
    { "ar", "ara", "" },   { "da", "dk", "" },      { "de-ch", "ch", "" },   { "en-gb", "gb", "" },
    { "en-us", "us", "" }, { "es", "es", "" },      { "et", "ee", "" },      { "fo", "fo", "" },
    { "fr-be", "be", "" }, { "fr-ca", "ca", "fr" }, { "fr-ch", "ch", "fr" }, { "ja", "jp", "" },
    { "nl-be", "be", "" }, { "pt-br", "br", "" },   { "sl", "si", "" },      { "sv", "se", "" },
};

static struct xkb_keymap *compile(struct xkb_context *context, const char *name)
{
    g_autofree char *layout = g_strdup(name), *variant = NULL;
    struct xkb_rule_names names = { .rules = "evdev", .model = "pc105" };
    char *open = strchr(layout, '(');

    if (open) {
        variant = g_strndup(open + 1, strcspn(open + 1, ")"));
        *open = '\0';
    }
    names.layout = layout;
    names.variant = variant;
    for (size_t i = 0; i < G_N_ELEMENTS(layouts); i++) {
        if (strcmp(layouts[i].name, name) == 0) {
            names.layout = layouts[i].layout;
            names.variant = layouts[i].variant;
        }
    }
    return xkb.xkb_keymap_new_from_names(context, &names, XKB_KEYMAP_COMPILE_NO_FLAGS);
}

/* What has to be down for a level, by the simplest way; caps lock is none. */
static unsigned level_modifiers(struct xkb_keymap *keymap, xkb_keycode_t code,
                                xkb_level_index_t level)
{
    xkb_mod_mask_t masks[MASKS_MAX];
    size_t count = xkb.xkb_keymap_key_get_mods_for_level(keymap, code, 0, level, masks, MASKS_MAX);
    xkb_mod_mask_t shift = 1u << xkb.xkb_keymap_mod_get_index(keymap, XKB_MOD_NAME_SHIFT);
    xkb_mod_mask_t lock = 1u << xkb.xkb_keymap_mod_get_index(keymap, XKB_MOD_NAME_CAPS);
    xkb_mod_mask_t third = 1u << xkb.xkb_keymap_mod_get_index(keymap, "Mod5");
    unsigned best = VNC_SHIFT | VNC_ALTGR;

    for (size_t i = 0; i < count; i++) {
        unsigned modifiers =
            (masks[i] & shift ? VNC_SHIFT : 0) | (masks[i] & third ? VNC_ALTGR : 0);

        if (!(masks[i] & lock) && modifiers < best) {
            best = modifiers;
        }
    }
    return best;
}

/*
 * Keys that no keyboard here has are left out: XKB knows one for the euro alone, which would be preferred to AltGr and E.
 */
static void add_key(struct xkb_keymap *keymap, xkb_keycode_t code, void *opaque)
{
    VncKeyboard *keyboard = opaque;
    xkb_level_index_t levels = xkb.xkb_keymap_num_levels_for_key(keymap, code, 0);

    if (code < XKB_CODE_OFFSET || code - XKB_CODE_OFFSET > UINT16_MAX ||
        !input_key_by_code((uint16_t)(code - XKB_CODE_OFFSET))) {
        return;
    }
    for (xkb_level_index_t level = 0; level < levels; level++) {
        const xkb_keysym_t *symbols;
        int count = xkb.xkb_keymap_key_get_syms_by_level(keymap, code, 0, level, &symbols);
        VncKey key = { (uint16_t)(code - XKB_CODE_OFFSET),
                       (uint8_t)level_modifiers(keymap, code, level) };

        for (int i = 0; i < count; i++) {
            gpointer symbol = GUINT_TO_POINTER(symbols[i]);
            GArray *keys = g_hash_table_lookup(keyboard->keys, symbol);

            if (!keys) {
                keys = g_array_new(false, false, sizeof(VncKey));
                g_hash_table_insert(keyboard->keys, symbol, keys);
            }
            g_array_append_val(keys, key);
        }
    }
}

static void ignore_message(struct xkb_context *context, enum xkb_log_level level,
                           const char *format, va_list arguments)
{
}

VncKeyboard *vnc_keyboard_new(const char *layout, GError **error)
{
    struct xkb_context *context;
    struct xkb_keymap *keymap;
    VncKeyboard *keyboard = NULL;

    if (!library_want(&xkb_library, error)) {
        return NULL;
    }
    context = xkb.xkb_context_new(XKB_CONTEXT_NO_FLAGS);
    if (context) {
        xkb.xkb_context_set_log_fn(context, ignore_message);
    }
    keymap = context ? compile(context, layout) : NULL;
    if (keymap) {
        keyboard = g_new0(VncKeyboard, 1);
        keyboard->keys = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_array_unref);
        xkb.xkb_keymap_key_for_each(keymap, add_key, keyboard);
        xkb.xkb_keymap_unref(keymap);
    } else {
        error_fail(error, KASO_ERROR_NOT_FOUND,
                   "keyboard layout '%s': XKB has no such layout (they are in "
                   "/usr/share/X11/xkb/symbols, Debian package xkb-data)",
                   layout);
    }
    if (context) {
        xkb.xkb_context_unref(context);
    }
    return keyboard;
}

void vnc_keyboard_free(VncKeyboard *keyboard)
{
    g_hash_table_unref(keyboard->keys);
    g_free(keyboard);
}

/* Layouts name signs as X always has; clients may give their Unicode numbers instead. */
static GArray *find_keys(const VncKeyboard *keyboard, uint32_t keysym)
{
    GArray *keys = g_hash_table_lookup(keyboard->keys, GUINT_TO_POINTER(keysym));
    uint32_t character = keys ? 0 : xkb.xkb_keysym_to_utf32(keysym);

    return character ? g_hash_table_lookup(keyboard->keys,
                                           GUINT_TO_POINTER(xkb.xkb_utf32_to_keysym(character)))
                     : keys;
}

bool vnc_keyboard_find(const VncKeyboard *keyboard, uint32_t keysym, unsigned modifiers,
                       VncKey *key)
{
    GArray *keys = find_keys(keyboard, keysym);

    if (!keys) {
        return false;
    }
    *key = g_array_index(keys, VncKey, 0);
    for (guint i = 0; i < keys->len; i++) {
        const VncKey *candidate = &g_array_index(keys, VncKey, i);

        if (candidate->modifiers == modifiers) {
            *key = *candidate;
            break;
        }
    }
    return true;
}

bool vnc_keysym_is_sign(uint32_t keysym)
{
    uint32_t character = xkb.xkb_keysym_to_utf32(keysym);

    return character > ' ' && character != 0x7f && (keysym < 0xff00 || keysym >= 0x1000000);
}

bool vnc_keysym_is_letter(uint32_t keysym)
{
    return g_unichar_isalpha(xkb.xkb_keysym_to_utf32(keysym));
}

uint32_t vnc_keysym_text(uint32_t keysym)
{
    static const struct {
        uint32_t keysym, key;
    } keys[] = {
        { XKB_KEY_Up, DISPLAY_KEY_UP },
        { XKB_KEY_Down, DISPLAY_KEY_DOWN },
        { XKB_KEY_Right, DISPLAY_KEY_RIGHT },
        { XKB_KEY_Left, DISPLAY_KEY_LEFT },
        { XKB_KEY_Home, DISPLAY_KEY_HOME },
        { XKB_KEY_End, DISPLAY_KEY_END },
        { XKB_KEY_Page_Up, DISPLAY_KEY_PAGE_UP },
        { XKB_KEY_Page_Down, DISPLAY_KEY_PAGE_DOWN },
        { XKB_KEY_Insert, DISPLAY_KEY_INSERT },
        { XKB_KEY_Delete, DISPLAY_KEY_DELETE },
        { XKB_KEY_BackSpace, 0x7f },
        { XKB_KEY_KP_Up, DISPLAY_KEY_UP },
        { XKB_KEY_KP_Down, DISPLAY_KEY_DOWN },
        { XKB_KEY_KP_Right, DISPLAY_KEY_RIGHT },
        { XKB_KEY_KP_Left, DISPLAY_KEY_LEFT },
        { XKB_KEY_KP_Home, DISPLAY_KEY_HOME },
        { XKB_KEY_KP_End, DISPLAY_KEY_END },
        { XKB_KEY_KP_Page_Up, DISPLAY_KEY_PAGE_UP },
        { XKB_KEY_KP_Page_Down, DISPLAY_KEY_PAGE_DOWN },
        { XKB_KEY_KP_Insert, DISPLAY_KEY_INSERT },
        { XKB_KEY_KP_Delete, DISPLAY_KEY_DELETE },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (keys[i].keysym == keysym) {
            return keys[i].key;
        }
    }
    if (keysym >= XKB_KEY_F1 && keysym <= XKB_KEY_F12) {
        return DISPLAY_KEY_F1 + (keysym - XKB_KEY_F1);
    }
    return xkb.xkb_keysym_to_utf32(keysym);
}
