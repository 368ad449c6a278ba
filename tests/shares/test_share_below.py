"""A share that is mounted somewhere below a local folder: it may hang like any other."""

HUNG = "hung: the server did not answer"


def test_a_share_below_a_local_folder_hangs_like_any_other(bench_on, share_below, tmp_path):
    """The folder says so and stays out, the service stops and starts, and all heals with the server."""
    bench = bench_on(share_below)
    bench.put_on["share"] = tmp_path / "share"
    process = bench.start()
    bench.write("share", "beside")
    (share_below.directory / "there").write_bytes(b"there")
    bench.put_names.append("there")
    bench.wait_until(bench.is_all_attached, bench.states)
    bench.wait_until(bench.says("share", "mounted below it", healthy=True))
    share_below.freeze()
    bench.write("share", "meanwhile")
    bench.wait_until(bench.says("share", HUNG))
    assert bench.seconds_until_attached("local", "local") < 20.0
    assert bench.says("share", HUNG)()
    assert bench.seconds_to_stop(process) < 10.0
    process = bench.start()
    bench.wait_until(bench.says("share", HUNG))
    share_below.thaw()
    bench.wait_until(bench.is_all_attached, bench.states)
    share_below.unmount()
    bench.wait_until(lambda: bench.folder("share").get("watch") == "events", bench.status)
    bench.write("share", "after")
    bench.end_well(process)
