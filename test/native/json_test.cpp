// base/json: what RFC 8259 allows is read exactly, everything else is refused with its place.
#include "core/base/json.h"

#include <chrono>
#include <cmath>
#include <limits>

#include "io_helpers.h"

namespace ft::test {
namespace {

Json Parse(const std::string& text) { return Json::Parse(text, JsonOptions{.where = "test.json"}); }

std::string Refusal(const std::string& text) {
  return MessageOf([&] { Parse(text); });
}

TEST(json_values) {
  const Json value = Parse(" {\"a\": [1, -2.5e1, true, false, null, \"x\"], \"b\": {}} \n");
  EXPECT(value.kind() == JsonKind::kObject);
  const Json::Array& items = value.Find("a")->AsArray();
  EXPECT_EQ(items.size(), size_t{6});
  EXPECT_EQ(items[0].AsInt(), int64_t{1});
  EXPECT_EQ(items[1].AsDouble(), -25.0);
  EXPECT(items[2].AsBool() && !items[3].AsBool() && items[4].is_null());
  EXPECT_EQ(items[5].AsString(), std::string("x"));
  EXPECT(value.Find("b")->AsObject().empty());
  EXPECT(value.Find("c") == nullptr);
  EXPECT(Json(3).Find("a") == nullptr);
}

TEST(json_numbers_are_exact) {
  EXPECT_EQ(Parse("9223372036854775807").AsInt(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(Parse("-9223372036854775808").AsInt(), std::numeric_limits<int64_t>::min());
  EXPECT(Parse("9223372036854775808").kind() == JsonKind::kDouble);
  EXPECT_EQ(Parse("1000000000000000019884624838656").AsDouble(), 1e30);
  EXPECT_EQ(Parse("0.1").AsDouble(), 0.1);
  EXPECT_EQ(Parse("2.2250738585072011e-308").AsDouble(), 2.2250738585072011e-308);
  EXPECT_EQ(Parse("1e-999").AsDouble(), 0.0);
  EXPECT_EQ(Parse("-0").AsInt(), int64_t{0});
  for (const char* bad :
       {"01", "+1", ".5", "1.", "1e", "1e+", "-", "NaN", "Infinity", "-Infinity", "0x10", "1e999", "1_0"}) {
    EXPECT_THROWS_CODE(Parse(bad), kInvalidConfig);
  }
}

TEST(json_strings) {
  EXPECT_EQ(Parse(R"("a\"\\\/\b\f\n\r\tA\u00e9\u20ac\ud83d\ude00")").AsString(),
            std::string("a\"\\/\b\f\n\r\tA\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"));
  EXPECT_EQ(Parse("\"\xF0\x9F\x98\x80 \xC3\xA9\"").AsString(), std::string("\xF0\x9F\x98\x80 \xC3\xA9"));
  EXPECT_EQ(Parse("\"\\u0000\"").AsString(), std::string(1, '\0'));
  for (const char* bad : {"\"", "\"\\\"", "\"\\x41\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"",
                          "\"a\nb\"", "\"\x80\"", "\"\xC0\xAF\"", "\"\xE0\x80\x80\"", "\"\xED\xA0\x80\"",
                          "\"\xF4\x90\x80\x80\"", "\"\xF8\x88\x80\x80\x80\"", "\"\xC3\"", "'a'"}) {
    EXPECT_THROWS_CODE(Parse(bad), kInvalidConfig);
  }
}

TEST(json_syntax_is_strict) {
  for (const char* bad :
       {"",          " ",     "{",     "[",   "]",   "{]",   "[}",  "[1,]", "{\"a\":1,}", "[,1]",           "[1 2]",
        "{\"a\" 1}", "{a:1}", "{1:2}", "tru", "nul", "True", "1 1", "[1]]", "// c\n1",    "\xEF\xBB\xBF{}", "{\"a\":}",
        "[1,,2]"}) {
    EXPECT_THROWS_CODE(Parse(bad), kInvalidConfig);
  }
  EXPECT_THROWS_CODE(Json::Parse(std::string("[1\0]", 4), {}), kInvalidConfig);
}

TEST(json_errors_say_where) {
  EXPECT(Contains(Refusal("{\n  \"a\": 1,\n  \"b\" 2\n}"), "test.json:3:7:"));
  EXPECT(Contains(Refusal("[\"\xC3\xA9\xC3\xA9\", x]"), "test.json:1:8:"));  // columns are characters
  EXPECT(Contains(Refusal("{\"a\":1,\n\"b\":2,\n \"a\":3}"), "test.json:3:"));
  EXPECT(Contains(Refusal("{\"a\":1,\"a\":1}"), "twice"));
}

TEST(json_depth_is_bounded) {
  const auto nested = [](size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  EXPECT(Parse(nested(64)).kind() == JsonKind::kArray);
  EXPECT(Contains(Refusal(nested(65)), "deeper"));
  EXPECT(Contains(Refusal(std::string(10'000'000, '[')), "deeper"));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT(Contains(Refusal(objects), "deeper"));
}

TEST(json_skip_checks_what_it_skips) {
  const std::string text = "{\"skip\":{\"a\":[1,{\"b\":\"\\u0041\"},[]],\"c\":null},\"keep\":7}";
  JsonReader reader(text, {});
  std::string key;
  reader.BeginObject();
  EXPECT(reader.NextKey(&key) && key == "skip");
  reader.Skip();
  EXPECT_EQ(reader.depth(), size_t{1});
  EXPECT(reader.NextKey(&key) && key == "keep");
  EXPECT_EQ(std::get<int64_t>(reader.Number()), int64_t{7});
  EXPECT(!reader.NextKey(&key));
  reader.End();
  for (const char* bad : {"[1,{\"a\":}]", "[\"\xff\"]", "[[[1}]]", "{\"a\":[1,]}", "["}) {
    const std::string copy = bad;
    JsonReader broken(copy, {});
    EXPECT_THROWS_CODE(broken.Skip(), kInvalidConfig);
  }
}

TEST(json_large_documents_are_linear) {
  std::string object = "{", array = "[";
  for (int i = 0; i < 200'000; ++i) {
    object += (i ? ",\"key" : "\"key") + std::to_string(i) + "\":\"value\"";
    array += i ? ",0" : "0";
  }
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(Parse(object + "}").AsObject().size(), size_t{200'000});
  EXPECT_EQ(Parse(array + "]").AsArray().size(), size_t{200'000});
  // An unended string, and an error at the end of a long line: the place is found once.
  EXPECT(!Refusal("[\"" + std::string(5'000'000, 'a')).empty());
  // Generous: a quadratic parser would need minutes.
  EXPECT(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
}

TEST(json_value_count_is_bounded) {
  std::string array = "[0";
  for (int i = 0; i < 2000; ++i) array += ",0";
  array += "]";
  EXPECT_THROWS_CODE(Json::Parse(array, JsonOptions{.max_values = 1000}), kInvalidConfig);
}

TEST(json_dump_reads_back) {
  const std::string text =
      "{\"a\":[1,-2,0.1,1e+300,1.0,true,null],\"quote\\\"\\\\\\n\\u0001\":\"\xC3\xA9\",\"o\":{},\"l\":[],\"max\":"
      "9223372036854775807}";
  const Json value = Parse(text);
  EXPECT_EQ(value.Dump(), text);
  EXPECT_EQ(Parse(value.Dump(2)).Dump(), text);
  EXPECT_EQ(Json(Json::Object{{"a", Json::Array{1, 2}}}).Dump(2), std::string("{\n  \"a\": [\n    1,\n    2\n  ]\n}"));
  EXPECT_THROWS_CODE(JsonQuote("\xff"), kInvalidArgument);
  EXPECT_THROWS_CODE(Json(std::nan("")).Dump(), kInvalidArgument);
}

TEST(json_mutations) {
  const std::string seed =
      R"({"model_type":"llama","n":[1,2.5e-3,-7],"s":"a\u00e9\ud83d\ude00","o":{"t":true,"f":false,"z":null},"e":[]})";
  Random random(1);
  size_t accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = seed;
    for (size_t edits = 1 + random.Below(4); edits > 0; --edits) text = Mutate(std::move(text), random);
    accepted += SucceedsOrThrowsError([&] {
      const Json value = Parse(text);
      EXPECT_EQ(Parse(value.Dump()).Dump(), value.Dump());
    });
  }
  EXPECT(accepted > 100 && accepted < 19'000);  // both outcomes were really met
}

}  // namespace
}  // namespace ft::test
