"""The floor (floor.c) on this machine: what one container costs if nobody but the kernel works, and how many the kernel starts
in a second if ten ask at once. Absolute limits were set on a machine whose kernel starts 280 of these a second; the second
figure says which machine this is."""
import pathlib, subprocess, tempfile, time

TOP = pathlib.Path(__file__).resolve().parent.parent


class Floor:
    def __init__(self, work):
        self.work = pathlib.Path(work) / "bare"
        self.program, self.lower = self.work / "floor", self.work / "lower"
        self.lower.mkdir(parents=True)
        subprocess.run(["gcc", "-O2", "-o", self.program, TOP / "benches/floor.c"], check=True)
        subprocess.run(["tar", "-C", self.lower, "-xf", TOP / "target/images/alpine.tar"], check=True)

    def words(self, rounds):
        return [self.program, self.lower, tempfile.mkdtemp(dir=self.work), str(rounds)]

    def one(self, rounds):
        """The median of some rounds, in milliseconds."""
        return float(subprocess.run(self.words(rounds), check=True, capture_output=True, text=True).stdout) / 1000

    def rate(self, total, clients=10):
        """Starts (and ends) a second, by so many at once."""
        began = time.perf_counter()
        crowd = [subprocess.Popen(self.words(total // clients), stdout=subprocess.DEVNULL) for _ in range(clients)]
        assert [p.wait() for p in crowd] == [0] * clients
        return total / (time.perf_counter() - began)
