// io/safetensors: round trips, and every way in which a header can lie (U1, U2, U3).
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/memory.h"
#include "core/io/safetensors.h"
#include "io_helpers.h"

namespace ft::test {
namespace {

std::shared_ptr<SafetensorsFile> OpenText(const std::string& bytes) {
  return SafetensorsFile::Open(WriteFixture("t.safetensors", bytes));
}

std::string Refusal(const std::string& header, size_t data_bytes) {
  return MessageOf([&] { OpenText(Safetensors(header, data_bytes)); });
}

void WriteExample(const std::string& path) {
  SafetensorsWriter writer(path,
                           {{"half", DType::kBF16, {3}},
                            {"none", DType::kF32, {0, 4}},
                            {"matrix", DType::kF32, {2, 3}},
                            {"scalar", DType::kI64, {}},
                            {"b\"\xC3\xA9", DType::kBool, {1}}},
                           {{"format", "pt"}});
  const uint16_t half[3] = {1, 2, 3};
  const float matrix[6] = {0, 1, 2, 3, 4, 5};
  const int64_t scalar = -7;
  const bool flag = true;
  writer.Append(half, 2);  // in pieces
  writer.Append(half + 1, 4);
  writer.Append(matrix, sizeof(matrix));
  writer.Append(&scalar, sizeof(scalar));
  writer.Append(&flag, 1);
  writer.Finish();
}

TEST(safetensors_round_trip) {
  const std::string path = (TempFolder() / "m.safetensors").string();
  WriteExample(path);
  EXPECT(!FileExists(path + ".tmp"));
  const auto file = SafetensorsFile::Open(path);
  EXPECT_EQ(file->entries().size(), size_t{5});
  EXPECT_EQ(file->metadata().at("format"), std::string("pt"));
  EXPECT_EQ(file->entries()[0].name, std::string("scalar"));  // widest first
  const TensorEntry* matrix = file->Find("matrix");
  EXPECT(matrix != nullptr && matrix->dtype == DType::kF32 && matrix->shape == (std::vector<int64_t>{2, 3}));
  float values[6];
  file->Read(*matrix, 0, values, sizeof(values));
  EXPECT_EQ(values[5], 5.0f);
  file->Read(*matrix, 8, values, 4);
  EXPECT_EQ(values[0], 2.0f);
  EXPECT(file->Find("absent") == nullptr);
  EXPECT(file->Find("b\"\xC3\xA9") != nullptr);
  EXPECT_EQ(file->Find("none")->nbytes, uint64_t{0});
  for (const TensorEntry& entry : file->entries()) EXPECT_EQ(entry.offset % DTypeSize(entry.dtype), uint64_t{0});
  EXPECT_EQ((file->Find("scalar")->offset) % 8, uint64_t{0});
  EXPECT_THROWS_CODE(file->Read(*matrix, 1, values, 24), kInvalidArgument);
  EXPECT_THROWS_CODE(file->Read(*matrix, UINT64_MAX, values, 2), kInvalidArgument);
}

TEST(safetensors_empty_file_is_valid) {
  const std::string path = (TempFolder() / "m.safetensors").string();
  SafetensorsWriter(path, {}, {}).Finish();
  EXPECT(SafetensorsFile::Open(path)->entries().empty());
}

TEST(safetensors_large_tensors_bypass_the_buffer) {
  const std::string path = (TempFolder() / "m.safetensors").string();
  std::vector<uint32_t> big(1'000'000);
  for (size_t i = 0; i < big.size(); ++i) big[i] = static_cast<uint32_t>(i * 2654435761u);
  const uint8_t small[3] = {7, 8, 9};
  SafetensorsWriter writer(path, {{"s", DType::kU8, {3}}, {"big", DType::kF32, {1000, 1000}}, {"t", DType::kU8, {3}}},
                           {});
  writer.Append(small, 3);
  for (size_t at = 0; at < big.size(); at += 300'000) {
    writer.Append(big.data() + at, std::min<size_t>(300'000, big.size() - at) * 4);
  }
  writer.Append(small, 3);
  writer.Finish();
  const auto file = SafetensorsFile::Open(path);
  std::vector<uint32_t> back(big.size());
  file->Read(*file->Find("big"), 0, back.data(), back.size() * 4);
  EXPECT(back == big);
  uint8_t tail[3];
  file->Read(*file->Find("t"), 0, tail, 3);
  EXPECT(std::memcmp(tail, small, 3) == 0);
}

TEST(safetensors_writer_refuses_misuse) {
  const std::string path = (TempFolder() / "m.safetensors").string();
  EXPECT_THROWS_CODE(SafetensorsWriter(path, {{"a", DType::kF32, {1}}, {"a", DType::kF32, {1}}}, {}), kInvalidArgument);
  EXPECT_THROWS_CODE(SafetensorsWriter(path, {{"a", DType::kF32, {-1}}}, {}), kInvalidArgument);
  EXPECT_THROWS_CODE(SafetensorsWriter(path, {{"a", DType::kF32, {INT64_MAX, 2}}}, {}), kInvalidArgument);
  EXPECT_THROWS_CODE(SafetensorsWriter(path, {{"__metadata__", DType::kF32, {1}}}, {}), kInvalidArgument);
  EXPECT_THROWS_CODE(SafetensorsWriter(path, {{"a", DType::kU8, {INT64_MAX}}, {"b", DType::kU8, {INT64_MAX}}}, {}),
                     kInvalidArgument);
  {
    SafetensorsWriter writer(path, {{"a", DType::kF32, {2}}}, {});
    const float value = 1;
    writer.Append(&value, 4);
    EXPECT_THROWS_CODE(writer.Finish(), kInvalidArgument);
    writer.Append(&value, 4);
    EXPECT_THROWS_CODE(writer.Append(&value, 1), kInvalidArgument);
    EXPECT(FileExists(path + ".tmp"));
  }
  EXPECT(!FileExists(path) && !FileExists(path + ".tmp"));  // not finished: nothing stays
  EXPECT_THROWS_CODE(SafetensorsWriter((TempFolder() / "no" / "x").string(), {}, {}), kStorage);
}

TEST(safetensors_writer_reports_a_full_disk) {
  const std::string path = WriteFixture("m.safetensors", "old");
  auto* old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  rlimit limited = old;
  limited.rlim_cur = 1 << 20;
  setrlimit(RLIMIT_FSIZE, &limited);
  const std::string message = MessageOf([&] {
    const std::vector<char> block(4 << 20, 'x');
    SafetensorsWriter writer(path, {{"a", DType::kU8, {4 << 20}}}, {});
    writer.Append(block.data(), block.size());
    writer.Finish();
  });
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);
  EXPECT(Contains(message, "File too large"));
  EXPECT_EQ(ReadFixture(path), std::string("old"));
  EXPECT(!FileExists(path + ".tmp"));
}

TEST(safetensors_truncation_says_how_much_is_there) {
  const std::string path = (TempFolder() / "m.safetensors").string();
  WriteExample(path);
  const std::string whole = ReadFixture(path);
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_THROWS_CODE(OpenText(whole.substr(0, length)), kSafetensors);
  }
  const std::string message = MessageOf([&] { OpenText(whole.substr(0, whole.size() - 9)); });
  EXPECT(Contains(message, "truncated") && Contains(message, "39 bytes") && Contains(message, "holds 30"));
  EXPECT(Contains(MessageOf([&] { OpenText(whole + "x"); }), "1 bytes after the last tensor"));
}

TEST(safetensors_hostile_headers) {
  const auto entry = [](const char* name, const char* dtype, const char* shape, const char* offsets) {
    return fmt::format("\"{}\":{{\"dtype\":\"{}\",\"shape\":{},\"data_offsets\":{}}}", name, dtype, shape, offsets);
  };
  const std::string a = entry("a", "U8", "[4]", "[0,4]");
  EXPECT_EQ(OpenText(Safetensors("{" + a + "}  ", 4))->entries().size(), size_t{1});
  struct Case {
    std::string header;
    size_t data;
    const char* says;
  };
  const std::vector<Case> cases = {
      {"{" + a + "," + entry("b", "U8", "[4]", "[2,6]") + "}", 6, "overlap"},
      {"{" + a + "," + entry("b", "U8", "[4]", "[0,4]") + "}", 4, "overlap"},
      {"{" + a + "," + entry("b", "U8", "[4]", "[6,10]") + "}", 10, "hole of 2 bytes"},
      {"{" + entry("a", "U8", "[4]", "[2,6]") + "}", 6, "hole"},
      {"{" + entry("a", "U8", "[4]", "[4,0]") + "}", 4, "reversed"},
      {"{" + entry("a", "U8", "[4]", "[-4,0]") + "}", 4, "integer"},
      {"{" + entry("a", "U8", "[-4]", "[0,4]") + "}", 4, "integer"},
      {"{" + entry("a", "U8", "[4.0]", "[0,4]") + "}", 4, "integer"},
      {"{" + entry("a", "U8", "[18446744073709551615]", "[0,4]") + "}", 4, "integer"},
      {"{" + entry("a", "U8", "[4]", "[0,18446744073709551615]") + "}", 4, "integer"},
      {"{" + entry("a", "U8", "[4]", "[0,9223372036854775807]") + "}", 4, "needs 4 bytes"},
      {"{" + entry("a", "F32", "[4294967296,4294967296]", "[0,0]") + "}", 0, "63 bits"},
      {"{" + entry("a", "F32", "[4611686018427387904,4]", "[0,0]") + "}", 0, "63 bits"},
      {"{" + entry("a", "F32", "[0,4611686018427387904,4]", "[0,0]") + "}", 0, "63 bits"},
      {"{" + entry("a", "F32", "[4]", "[0,4]") + "}", 4, "needs 16 bytes"},
      {"{" + entry("a", "F4", "[4]", "[0,4]") + "}", 4, "unknown dtype \"F4\""},
      {"{" + entry("a", "float32", "[1]", "[0,4]") + "}", 4, "unknown dtype"},
      {"{" + a + "," + entry("a", "U8", "[0]", "[4,4]") + "}", 4, "twice"},
      {"{" + entry("a", "U8", "[4]", "[0,4,4]") + "}", 4, "two numbers"},
      {"{" + entry("a", "U8", "[4]", "[0]") + "}", 4, "two numbers"},
      {"{" + entry("a", "U8", "4", "[0,4]") + "}", 4, "array"},
      {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4]}}", 4, "data_offsets is missing"},
      {"{\"a\":{\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "dtype is missing"},
      {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "twice"},
      {"{\"a\":[]}", 0, "expected an object"},
      {"[]", 0, "does not start with '{'"},
      {" {}", 0, "does not start with '{'"},
      {"{}x", 0, "unexpected text"},
      {"", 0, "does not start with '{'"},
      {"{\"__metadata__\":{\"a\":1}}", 0, "must be a string"},
      {"{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "twice"},
      {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "twice"},
      {"{\"a\":{\"x\":" + std::string(1'000'000, '[') + "}}", 0, "deeper"},
      {"{" + entry("a", "U8", ("[" + std::string("1,") + std::string(199, '1') + "]").c_str(), "[0,4]") + "}", 4,
       "integer"},
  };
  for (const Case& one : cases) {
    const std::string message = Refusal(one.header, one.data);
    if (!Contains(message, one.says)) {
      Fail(__FILE__, __LINE__,
           "header " + Shorten(one.header) + ": expected \"" + one.says + "\", got \"" + message + "\"");
    }
  }
  std::string many_dimensions = "[1";
  for (int i = 0; i < 100; ++i) many_dimensions += ",1";
  EXPECT(Contains(Refusal("{" + entry("a", "U8", (many_dimensions + "]").c_str(), "[0,1]") + "}", 1), "dimensions"));
}

TEST(safetensors_header_length_is_checked_before_it_is_believed) {
  const uint64_t before = PeakResidentBytes();
  for (const uint64_t length :
       {uint64_t{100} << 30, UINT64_MAX, uint64_t{100'000'001}, uint64_t{99'000'000}, uint64_t{3}}) {
    EXPECT_THROWS_CODE(OpenText(Prefix(length) + "{}"), kSafetensors);
  }
  EXPECT(Contains(MessageOf([&] { OpenText(Prefix(uint64_t{100} << 30) + "{}"); }), "107374182400"));
  EXPECT(PeakResidentBytes() < before + (uint64_t{256} << 20));
}

TEST(safetensors_many_tensors_open_fast) {
  std::string header = "{";
  for (int i = 0; i < 100'000; ++i) {
    header += fmt::format("{}\"model.layers.{}.weight\":{{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[{},{}]}}",
                          i ? "," : "", i, i, i + 1);
  }
  const std::string bytes = Safetensors(header + "}", 100'000);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(OpenText(bytes)->entries().size(), size_t{100'000});
  EXPECT(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));  // generous: sanitizers, slow disks
}

TEST(safetensors_other_kinds_of_file_are_named) {
  using namespace std::string_literals;
  EXPECT_THROWS_CODE(OpenText("PK\x03\x04"s + std::string(100, '\0')), kPickleRefused);
  EXPECT_THROWS_CODE(OpenText("\x80\x02}q\x00(X"s + std::string(100, '\0')), kPickleRefused);
  EXPECT_THROWS_CODE(OpenText("\x80\x04\x95"s + std::string(100, '\0')), kPickleRefused);
  EXPECT(
      Contains(MessageOf([] { OpenText("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"); }), "Git LFS"));
  EXPECT(Contains(MessageOf([] { OpenText("GGUF\x03\x00\x00\x00 more"s); }), "GGUF"));
  EXPECT(Contains(MessageOf([] { OpenText("<!DOCTYPE html><html>"); }), "web page"));
  // A header of 640 bytes starts like a pickle, and is none.
  std::string padded = "{}" + std::string(638, ' ');
  EXPECT(OpenText(Safetensors(padded, 0))->entries().empty());
}

TEST(safetensors_file_that_shrinks_is_an_error) {
  const std::string path = (TempFolder() / "m.safetensors").string();
  WriteExample(path);
  const auto file = SafetensorsFile::Open(path);
  EXPECT_EQ(truncate(path.c_str(), 100), 0);
  char buffer[64];
  EXPECT_THROWS_CODE(file->Read(*file->Find("matrix"), 0, buffer, 24), kSafetensors);
  EXPECT(Contains(MessageOf([&] { file->Read(*file->Find("half"), 0, buffer, 6); }), "shrank"));
}

TEST(safetensors_mutations) {
  const std::string path = (TempFolder() / "m.safetensors").string();
  WriteExample(path);
  const std::string whole = ReadFixture(path);
  uint64_t length = 0;
  std::memcpy(&length, whole.data(), 8);
  const std::string header = whole.substr(8, length), data = whole.substr(8 + length);
  const auto open_and_read = [](const std::string& bytes) {
    const auto file = OpenText(bytes);
    std::vector<char> buffer;
    for (const TensorEntry& entry : file->entries()) {
      EXPECT(entry.offset + entry.nbytes <= bytes.size());
      buffer.resize(entry.nbytes);
      file->Read(entry, 0, buffer.data(), entry.nbytes);
    }
  };
  Random random(2);
  size_t accepted = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string bytes;
    if (round % 3 == 0) {  // anywhere, the length included
      bytes = Mutate(whole, random);
    } else {  // the header, with a length that fits it
      std::string text = header;
      for (size_t edits = 1 + random.Below(3); edits > 0; --edits) text = Mutate(std::move(text), random);
      bytes = Prefix(text.size()) + text + data;
    }
    accepted += SucceedsOrThrowsError([&] { open_and_read(bytes); });
  }
  EXPECT(accepted > 50 && accepted < 5900);
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string bytes = whole;
    bytes[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    SucceedsOrThrowsError([&] { open_and_read(bytes); });
  }
}

}  // namespace
}  // namespace ft::test
