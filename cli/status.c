/* `barid status`: the parent knows the processes and ports, the queue its depth. */
#include "cli/cli.h"

#include "cli/output.h"

#define DEPTH_MS 10000 /* who asks what is wrong does not wait long for what is wrong */

static int print_json(struct buf *out, const struct rows *parent, const struct rows *queue)
{
    int rc = buf_add(out, "{", 1);
    rc |= json_fields(out, &parent->list[0]);
    rc |= buf_addf(out, ", \"processes\": ");
    rc |= json_array(out, parent, 1, parent->n, "processes");
    rc |= buf_addf(out, ", \"listeners\": ");
    rc |= json_array(out, parent, 1, parent->n, "listeners");
    rc |= buf_addf(out, ", \"sockets\": ");
    rc |= json_array(out, parent, 1, parent->n, "sockets");
    rc |= buf_addf(out, ", \"queue\": ");
    if (queue->n == 0)
        return rc | buf_addf(out, "null}\n");
    rc |= buf_add(out, "{", 1);
    rc |= json_fields(out, &queue->list[0]);
    return rc | buf_addf(out, "}}\n");
}

static int print_table(struct buf *out, const struct rows *parent, const struct rows *queue)
{
    int rc = output_table(out, parent, SHAPE_OBJECT);
    rc |= buf_addf(out, "\nqueue:\n");
    if (queue->n == 0)
        return rc | buf_addf(out, "it does not answer, see the log\n");
    return rc | table_lines(out, queue, 0, queue->n, "");
}

int status_main(struct cli *cli)
{
    struct question about_all = {.process = ROLE_PARENT, .admin = "status"};
    struct question about_queue = {
        .process = ROLE_QUEUE, .admin = "queue depth", .answer_ms = DEPTH_MS};
    struct rows parent = {.n = 0}, queue = {.n = 0};
    struct buf out;
    struct error e;
    int status = EXIT_REFUSED;
    buf_init(&out, SIZE_MAX / 4);
    if (cli_load(cli, &e) < 0 || cli_ask(cli, &about_all, &parent, NULL, &e) < 0) {
        cli_fail(cli, "%s", e.text);
    } else if (parent.n == 0 || parent.list[0].depth != 0) {
        cli_fail(cli, "the parent's answer is not complete: install all of barid together");
    } else {
        /* A queue that is just being restarted is no reason to hide the rest. */
        if (cli_ask(cli, &about_queue, &queue, NULL, &e) < 0)
            rows_free(&queue);
        status = output_print(cli, &out,
                              cli->is_json ? print_json(&out, &parent, &queue)
                                           : print_table(&out, &parent, &queue));
    }
    rows_free(&parent);
    rows_free(&queue);
    return status;
}
