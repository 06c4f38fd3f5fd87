#include "train/files.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"

namespace gesso {
namespace {

using Names = std::vector<std::string>;

// While it lives, files of this process cannot grow above `bytes`: writing fails as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  sighandler_t handler_;
};

TEST_SUITE("files") {
  TEST_CASE("what is written atomically is read back, also empty and over an older file") {
    TemporaryDirectory directory;
    const Path path = directory / "a.txt";
    for (const std::string& content : {std::string("first"), std::string(), std::string(100'000, 'x')}) {
      write_file_atomically(path, content);
      CHECK(read_text_file(path, 100'000) == content);
    }
    CHECK(list_directory(directory.path()) == Names{"a.txt"});
  }

  TEST_CASE("a file above the cap is refused with both sizes") {
    TemporaryDirectory directory;
    const Path path = directory / "a.txt";
    write_file_atomically(path, std::string(11, 'x'));
    CHECK(read_file(path, 11).size() == 11);
    expect_error(ErrorKind::data, {"a.txt", "11 bytes", "at most 10"}, [&] { read_file(path, 10); });
  }

  TEST_CASE("a pipe, whose size is not known before, is read whole and capped") {
    TemporaryDirectory directory;
    const Path path = directory / "pipe";
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    for (const std::size_t cap : {200'000, 100'000}) {
      std::thread writer([&] {
        const int descriptor = open(path.c_str(), O_WRONLY);
        const std::string content(150'000, 'p');
        for (std::size_t done = 0; done < content.size();) {
          const ssize_t wrote = write(descriptor, content.data() + done, content.size() - done);
          if (wrote < 0) break;  // the reader left at its cap
          done += static_cast<std::size_t>(wrote);
        }
        close(descriptor);
      });
      const auto before = signal(SIGPIPE, SIG_IGN);
      if (cap == 200'000)
        CHECK(read_text_file(path, cap) == std::string(150'000, 'p'));
      else
        expect_error(ErrorKind::data, {"more than the 100000 bytes"}, [&] { read_file(path, cap); });
      writer.join();
      signal(SIGPIPE, before);
    }
  }

  TEST_CASE("a refusal of the system names the path and the reason") {
    TemporaryDirectory directory;
    expect_error(ErrorKind::io, {"open", "no-such-file", "No such file"},
                 [&] { read_file(directory / "no-such-file", 10); });
    expect_error(ErrorKind::io, {"read", "directory"}, [&] { read_file(directory.path(), 1 << 20); });
    expect_error(ErrorKind::io, {"write", "no-such-directory", "No such file"},
                 [&] { write_file_atomically(directory / "no-such-directory/a.txt", "x"); });
    expect_error(ErrorKind::io, {"list", "no-such-directory"},
                 [&] { list_directory(directory / "no-such-directory"); });
    write_file_atomically(directory / "file", "x");
    expect_error(ErrorKind::io, {"make the directory", "file", "Not a directory"},
                 [&] { make_directories(directory / "file/below"); });
  }

  TEST_CASE("a write that fails half way leaves the old file and nothing else") {
    TemporaryDirectory directory;
    const Path path = directory / "a.txt";
    write_file_atomically(path, "old");
    {
      FileSizeLimit limit(4096);
      expect_error(ErrorKind::io, {"write", "a.txt", "File too large"},
                   [&] { write_file_atomically(path, std::string(10'000, 'x')); });
    }
    CHECK(read_text_file(path, 10) == "old");
    CHECK(list_directory(directory.path()) == Names{"a.txt"});
  }

  TEST_CASE("a rename that fails leaves no temporary file") {
    TemporaryDirectory directory;
    make_directories(directory / "taken/full");
    expect_error(ErrorKind::io, {"rename", "taken"}, [&] { write_file_atomically(directory / "taken", "x"); });
    CHECK(list_directory(directory.path()) == Names{"taken"});
  }

  TEST_CASE("a file that is not committed never appears") {
    TemporaryDirectory directory;
    {
      AtomicFile file(directory / "a.txt");
      file.write(std::vector<std::byte>(100));
      CHECK(list_directory(directory.path()).at(0).starts_with(kTemporaryPrefix));
    }
    CHECK(list_directory(directory.path()).empty());
  }

  TEST_CASE("a staged directory appears whole with publish, and not at all without") {
    TemporaryDirectory directory;
    for (const char* name : {"step-1", "step-2/"}) {
      StagedDirectory staged(directory / name);
      write_file_atomically(staged.path() / "weights", "w");
      write_file_atomically(staged.path() / "state", "s");
      CHECK(staged.path().filename().string().starts_with(kTemporaryPrefix));
      CHECK_FALSE(std::filesystem::exists(directory / name));
      staged.publish();
      CHECK(list_directory(directory / name) == Names{"state", "weights"});
    }
    {
      StagedDirectory staged(directory / "step-3");
      write_file_atomically(staged.path() / "weights", "w");
    }
    CHECK(list_directory(directory.path()) == Names{"step-1", "step-2"});
    expect_error(ErrorKind::io, {"step-1", "exists already"}, [&] { StagedDirectory again(directory / "step-1"); });
  }

  TEST_CASE("threads that write the same file each write it whole") {
    TemporaryDirectory directory;
    const Path path = directory / "a.txt";
    std::vector<std::thread> writers;
    for (char c : {'a', 'b', 'c', 'd'})
      writers.emplace_back([&path, c] {
        for (int i = 0; i < 5; ++i) write_file_atomically(path, std::string(5000, c));
      });
    for (std::thread& writer : writers) writer.join();
    const std::string content = read_text_file(path, 5000);
    CHECK(content == std::string(5000, content.at(0)));
    CHECK(list_directory(directory.path()) == Names{"a.txt"});
  }
}

}  // namespace
}  // namespace gesso
