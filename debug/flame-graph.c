/* SPDX-License-Identifier: MIT */
/*
 * Flame graphs: a box for each function of a stack, as wide as its share of the samples, upon the one that called it; siblings by name, so that what is
 * the same lies together. The script inside zooms to a box that is clicked, and marks what is searched for.
 */
#include <inttypes.h>
#include <string.h>

#include "debug/profile.h"

enum { WIDTH = 1200, ROW = 17, MARGIN = 10, TOP = 46, BOTTOM = 28, LETTER = 7, DEPTH_MAX = 256 };
#define NARROWEST 0.2 /* pixels: smaller boxes are left out */

typedef struct Node Node;
struct Node {
    const char *name;    /* in `names` */
    unsigned count;      /* with all above */
    GPtrArray *children; /* Node * */
};

typedef struct {
    GStringChunk *names;
    GString *out;
    unsigned total, depth;
} Graph;

static Node *node_new(Graph *graph, const char *name)
{
    Node *node = g_new0(Node, 1);

    node->name = g_string_chunk_insert_const(graph->names, name);
    node->children = g_ptr_array_new();
    return node;
}

static void node_free(Node *node)
{
    for (guint i = 0; i < node->children->len; i++) {
        node_free(node->children->pdata[i]);
    }
    g_ptr_array_unref(node->children);
    g_free(node);
}

static Node *child_of(Graph *graph, Node *node, const char *name)
{
    const char *own = g_string_chunk_insert_const(graph->names, name);
    Node *child;

    for (guint i = 0; i < node->children->len; i++) {
        child = node->children->pdata[i];
        if (child->name == own) {
            return child;
        }
    }
    child = node_new(graph, name);
    g_ptr_array_add(node->children, child);
    return child;
}

static void add_stack(Graph *graph, Node *root, const char *stack, unsigned count)
{
    g_auto(GStrv) names = g_strsplit(stack, ";", DEPTH_MAX);
    unsigned depth = 0;

    root->count += count;
    for (char **name = names; *name && **name; name++) {
        root = child_of(graph, root, *name);
        root->count += count;
        depth++;
    }
    graph->depth = MAX(graph->depth, depth);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(Node *const *)a)->name, (*(Node *const *)b)->name);
}

/* Warm colours that stay with a name; the kernel's and user code differ. */
static void colour(const char *name, char *text, size_t size)
{
    guint hash = g_str_hash(name);
    bool user = g_str_has_prefix(name, "user ") || g_str_has_prefix(name, "unknown ") ||
                g_str_has_prefix(name, "loader ");

    if (user) {
        g_snprintf(text, size, "rgb(%u,%u,%u)", 120 + hash % 40, 170 + (hash >> 8) % 40,
                   215 + (hash >> 16) % 30);
    } else {
        g_snprintf(text, size, "rgb(%u,%u,%u)", 215 + hash % 40, 110 + (hash >> 8) % 110,
                   40 + (hash >> 16) % 30);
    }
}

static void draw(Graph *graph, Node *node, unsigned level, double x)
{
    double scale = (double)(WIDTH - 2 * MARGIN) / MAX(graph->total, 1), width = node->count * scale;
    double y = TOP + (graph->depth - level) * (double)ROW;
    g_autofree char *name = g_markup_escape_text(node->name, -1);
    unsigned letters = width > 3 * LETTER ? (width - 6) / LETTER : 0;
    char fill[32];

    if (width < NARROWEST) {
        return;
    }
    colour(node->name, fill, sizeof fill);
    g_string_append_printf(
        graph->out,
        "<g class=\"f\" data-x=\"%.2f\" data-w=\"%.2f\" data-l=\"%u\"><title>%s: %u of %u samples, "
        "%.2f %%</title>"
        "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%d\" rx=\"1\" fill=\"%s\"/>",
        x, width, level, name, node->count, graph->total,
        100.0 * node->count / MAX(graph->total, 1), x, y, width, ROW - 1, fill);
    if (letters) {
        g_autofree char *cut = g_utf8_strlen(node->name, -1) > letters
                                   ? g_utf8_substring(node->name, 0, letters)
                                   : g_strdup(node->name);
        g_autofree char *shown = g_markup_escape_text(cut, -1);

        g_string_append_printf(graph->out, "<text x=\"%.2f\" y=\"%.1f\">%s</text>", x + 3, y + 12,
                               shown);
    }
    g_string_append(graph->out, "</g>\n");
    g_ptr_array_sort(node->children, by_name);
    for (guint i = 0; i < node->children->len; i++) {
        Node *child = node->children->pdata[i];

        draw(graph, child, level + 1, x);
        x += child->count * scale;
    }
}

/* Zoom and search; names are in the titles. */
static const char script[] =
    "<script><![CDATA[\n"
    "var fs=[].slice.call(document.querySelectorAll('.f')),W=1180,M=10;\n"
    "function put(f,x,w){var "
    "r=f.querySelector('rect'),t=f.querySelector('text'),n=f.querySelector('title').textContent."
    "split(': ')[0];\n"
    " r.setAttribute('x',x);r.setAttribute('width',Math.max(w,0));\n"
    " if(!t){t=document.createElementNS('http://www.w3.org/2000/"
    "svg','text');t.setAttribute('y',+r.getAttribute('y')+12);f.appendChild(t);}\n"
    " t.setAttribute('x',x+3);t.textContent=w>21?n.substring(0,(w-6)/7):'';}\n"
    "function zoom(g){var x0=+g.dataset.x,w0=+g.dataset.w,l0=+g.dataset.l;fs.forEach(function(f){\n"
    " var x=+f.dataset.x,w=+f.dataset.w,l=+f.dataset.l,under=l<l0&&x<=x0+.01&&x+w>=x0+w0-.01;\n"
    " var "
    "inside=x>=x0-.01&&x+w<=x0+w0+.01&&l>=l0;f.style.display=under||inside?'':'none';f.style."
    "opacity=under?.5:1;\n"
    " if(under)put(f,M,W);else if(inside)put(f,M+(x-x0)*W/w0,w*W/w0);});}\n"
    "fs.forEach(function(f){f.addEventListener('click',function(){zoom(f);});});\n"
    "document.getElementById('search').addEventListener('click',function(){var q=prompt('Names "
    "that match (a regular expression):');\n"
    " var e;try{e=q&&new RegExp(q);}catch(x){return;}\n"
    " fs.forEach(function(f){var n=f.querySelector('title').textContent.split(': "
    "')[0],r=f.querySelector('rect');\n"
    "  "
    "if(!r.dataset.c)r.dataset.c=r.getAttribute('fill');r.setAttribute('fill',e&&e.test(n)?'rgb("
    "200,60,220)':r.dataset.c);});});\n"
    "]]></script>\n";

char *flame_graph_svg(GHashTable *stacks, const char *title)
{
    Graph graph = { g_string_chunk_new(1 << 16), g_string_new(NULL) };
    Node *root = node_new(&graph, "all");
    g_autofree char *name = g_markup_escape_text(title, -1);
    GHashTableIter it;
    gpointer key, value;
    int height;

    g_hash_table_iter_init(&it, stacks);
    while (g_hash_table_iter_next(&it, &key, &value)) {
        add_stack(&graph, root, key, GPOINTER_TO_UINT(value));
    }
    graph.total = root->count;
    height = TOP + (graph.depth + 1) * ROW + BOTTOM;
    g_string_append_printf(
        graph.out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d "
        "%d\" "
        "font-family=\"monospace\" font-size=\"11\">\n"
        "<style>.f{cursor:pointer}.f:hover rect{stroke:#000}.f text{pointer-events:none}</style>\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"#fdfcf5\"/>\n"
        "<text x=\"%d\" y=\"24\" font-size=\"16\" text-anchor=\"middle\">%s</text>\n"
        "<text id=\"search\" x=\"%d\" y=\"24\" text-anchor=\"end\" "
        "style=\"cursor:pointer\">search</text>\n",
        WIDTH, height, WIDTH, height, WIDTH / 2, name, WIDTH - MARGIN);
    draw(&graph, root, 0, MARGIN);
    g_string_append_printf(graph.out, "<text x=\"%d\" y=\"%d\">%u samples; click: zoom</text>\n",
                           MARGIN, height - 8, graph.total);
    g_string_append(graph.out, script);
    g_string_append(graph.out, "</svg>\n");
    node_free(root);
    g_string_chunk_free(graph.names);
    return g_string_free(graph.out, FALSE);
}
