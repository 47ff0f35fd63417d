/* SPDX-License-Identifier: MIT */
/*
 * A program without a system, for a debugger that knows source lines: calls, an inlined function, a function without lines
 * (lines-start.S), structures and variables of all kinds. test-lines.py reads the marks in its comments.
 */
enum color { RED, GREEN = 5, BLUE };

struct point {
    int x, y;
};

struct node {
    struct node *next;
    char name[16];
    unsigned small : 3, wide : 13;
    enum color color;
    union {
        long number;
        struct point place;
    };
    int (*visit)(struct node *node, int depth);
    double weight;
    _Bool done;
};

typedef struct node Node;

int dark(int number); /* has no lines */
static int leaf(int first, int second);
int visit_node(struct node *node, int depth);

volatile long rounds;
static Node tail = { .name = "tail", .color = BLUE, .small = 5, .wide = 1000, .weight = 0.5 };
Node head = { .next = &tail, .name = "head", .color = GREEN, .number = 77, .visit = visit_node };
struct point points[3] = { { 1, 2 }, { 3, 4 }, { 5, -6 } };
const char *greeting = "hello";
/* A register of its own, as U-Boot has one for what it calls gd. */
#ifdef RESIDENT
register Node *resident asm(RESIDENT);
#else
Node *resident;
#endif

static inline __attribute__((always_inline)) int twice(int number)
{
    int two = number * 2; /* mark: inlined */
    rounds += two;
    return two;
}

static int leaf(int first, int second)
{                             /* mark: leaf opens */
    int sum = first + second; /* mark: leaf */
    sum += points[1].x;       /* mark: leaf second */
    return sum;
} /* mark: leaf closes */

int visit_node(struct node *node, int depth)
{
    int total = (resident = &tail, 0); /* mark: visit */
    while (node) {
        total += leaf(node->small, depth); /* mark: call */
        total += twice(total);             /* mark: inlining */
        node = node->next;                 /* mark: next */
    }
    return total;
}

void start(void)
{
    for (;;) {
        int answer = visit_node(&head, 3); /* mark: loop */
        answer = dark(answer);             /* mark: dark */
        rounds = rounds + answer;          /* mark: round */
    }
}
