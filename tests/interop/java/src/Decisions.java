import java.util.ArrayList;
import java.util.List;
import java.util.Scanner;
import java.util.function.Predicate;

/** For each line of the input, takes decisions and prints how many of each operation were sampled. */
final class Decisions {
  static void answer(int decisions, List<String> operations, Predicate<String> decide) {
    Scanner lines = new Scanner(System.in);
    while (lines.hasNextLine()) {
      lines.nextLine();
      List<String> counts = new ArrayList<>();
      for (String operation : operations) {
        int sampled = 0;
        for (int i = 0; i < decisions; i++) {
          sampled += decide.test(operation) ? 1 : 0;
        }
        counts.add("\"" + operation + "\":" + sampled);
      }
      System.out.println("{\"sampled\":{" + String.join(",", counts) + "}}");
    }
  }

  private Decisions() {}
}
